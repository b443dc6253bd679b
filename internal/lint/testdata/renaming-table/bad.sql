ALTER TABLE orders RENAME TO sales; -- here
ALTER VIEW daily RENAME TO per_day; -- here
