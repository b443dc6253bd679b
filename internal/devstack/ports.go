package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"go.temporal.io/server/common/testing/freeport"
)

// host is the only address that anything of the stack listens on.
const host = "127.0.0.1"

// Ports are those that the stack's clients connect to.
type Ports struct {
	Temporal int `json:"temporal"`
	UI       int `json:"ui"`
	Postgres int `json:"postgres"`
}

// defaultPorts are Temporal's own for its server and UI; Postgres gets the neighbour of 5432, which an installed server
// is likely to have.
func defaultPorts() Ports { return Ports{Temporal: 7233, UI: 8233, Postgres: 5433} }

// anyPorts are three free ports out of the range that the operating system hands out.
func anyPorts() Ports {
	return Ports{Temporal: freeport.MustGetFreePort(), UI: freeport.MustGetFreePort(), Postgres: freeport.MustGetFreePort()}
}

// choosePorts returns the preferred ports, each replaced by the next free one where it is taken.
func choosePorts(preferred Ports, freeFunc func(port int) bool) (Ports, error) {
	chosen := map[int]bool{}
	next := func(from int) int {
		for port := from; port < from+100 && port <= 65535; port++ {
			if !chosen[port] && freeFunc(port) {
				chosen[port] = true
				return port
			}
		}
		return 0
	}
	ports := Ports{Temporal: next(preferred.Temporal), UI: next(preferred.UI), Postgres: next(preferred.Postgres)}
	if ports.Temporal == 0 || ports.UI == 0 || ports.Postgres == 0 {
		return Ports{}, fmt.Errorf("no port is free among the hundred from one of %+v on", preferred)
	}
	return ports, nil
}

// isFree reports whether the port can be listened on. It connects first: on macOS one process may listen on 127.0.0.1
// beside another that listens on all addresses.
func isFree(port int) bool {
	conn, err := net.DialTimeout("tcp", address(port), time.Second)
	if err == nil {
		_ = conn.Close()
		return false
	}
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
