-- migrate:up transaction:false
CREATE DATABASE shop;
ALTER DATABASE shop SET timezone = 'UTC';
