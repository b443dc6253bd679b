ALTER DOMAIN amount ADD CONSTRAINT positive CHECK (VALUE > 0); -- here
ALTER DOMAIN shop.amount SET NOT NULL; -- here
