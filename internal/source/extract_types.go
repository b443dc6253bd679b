package source

import "github.com/jackc/pgx/v5/pgtype"

// travelsInBinary says that the binary form of a type is the same at every server: it is built in, of one number and one layout since
// the oldest version that we work with, and does not depend on a setting. One column of another type (an enumeration, a composite, a type
// of an extension, whose numbers differ from database to database; money, which depends on the locale; xml, which not every server can
// read; names of things in the catalog) makes the whole COPY one of text.
func travelsInBinary(oid uint32) bool {
	switch oid {
	case pgtype.BoolOID, pgtype.BoolArrayOID,
		pgtype.Int2OID, pgtype.Int2ArrayOID,
		pgtype.Int4OID, pgtype.Int4ArrayOID,
		pgtype.Int8OID, pgtype.Int8ArrayOID,
		pgtype.Float4OID, pgtype.Float4ArrayOID,
		pgtype.Float8OID, pgtype.Float8ArrayOID,
		pgtype.NumericOID, pgtype.NumericArrayOID,
		pgtype.TextOID, pgtype.TextArrayOID,
		pgtype.VarcharOID, pgtype.VarcharArrayOID,
		pgtype.BPCharOID, pgtype.BPCharArrayOID,
		pgtype.ByteaOID, pgtype.ByteaArrayOID,
		pgtype.DateOID, pgtype.DateArrayOID,
		pgtype.TimeOID, pgtype.TimeArrayOID,
		pgtype.TimetzOID, pgtype.TimetzArrayOID,
		pgtype.TimestampOID, pgtype.TimestampArrayOID,
		pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID,
		pgtype.IntervalOID, pgtype.IntervalArrayOID,
		pgtype.UUIDOID, pgtype.UUIDArrayOID,
		pgtype.JSONOID, pgtype.JSONArrayOID,
		pgtype.JSONBOID, pgtype.JSONBArrayOID,
		pgtype.InetOID, pgtype.InetArrayOID,
		pgtype.CIDROID, pgtype.CIDRArrayOID,
		pgtype.MacaddrOID, pgtype.BitArrayOID,
		pgtype.VarbitOID, pgtype.VarbitArrayOID:
		return true
	}
	return false
}
