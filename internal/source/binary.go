package source

import "github.com/jackc/pgx/v5/pgtype"

// binaryTypes are the types whose binary form is the same at every server: built in, of one number and one layout since the oldest
// version that we work with, and not dependent on a setting. One column of another type (an enumeration, a composite, a type of an
// extension, whose numbers differ from database to database; money, which depends on the locale; xml, which not every server can read;
// names of things in the catalog) makes the whole COPY one of text.
var binaryTypes = map[uint32]bool{
	pgtype.BoolOID: true, pgtype.BoolArrayOID: true,
	pgtype.Int2OID: true, pgtype.Int2ArrayOID: true,
	pgtype.Int4OID: true, pgtype.Int4ArrayOID: true,
	pgtype.Int8OID: true, pgtype.Int8ArrayOID: true,
	pgtype.Float4OID: true, pgtype.Float4ArrayOID: true,
	pgtype.Float8OID: true, pgtype.Float8ArrayOID: true,
	pgtype.NumericOID: true, pgtype.NumericArrayOID: true,
	pgtype.TextOID: true, pgtype.TextArrayOID: true,
	pgtype.VarcharOID: true, pgtype.VarcharArrayOID: true,
	pgtype.BPCharOID: true, pgtype.BPCharArrayOID: true,
	pgtype.ByteaOID: true, pgtype.ByteaArrayOID: true,
	pgtype.DateOID: true, pgtype.DateArrayOID: true,
	pgtype.TimeOID: true, pgtype.TimeArrayOID: true,
	pgtype.TimetzOID: true, pgtype.TimetzArrayOID: true,
	pgtype.TimestampOID: true, pgtype.TimestampArrayOID: true,
	pgtype.TimestamptzOID: true, pgtype.TimestamptzArrayOID: true,
	pgtype.IntervalOID: true, pgtype.IntervalArrayOID: true,
	pgtype.UUIDOID: true, pgtype.UUIDArrayOID: true,
	pgtype.JSONOID: true, pgtype.JSONArrayOID: true,
	pgtype.JSONBOID: true, pgtype.JSONBArrayOID: true,
	pgtype.InetOID: true, pgtype.InetArrayOID: true,
	pgtype.CIDROID: true, pgtype.CIDRArrayOID: true,
	pgtype.MacaddrOID: true,
	pgtype.BitOID:     true, pgtype.BitArrayOID: true,
	pgtype.VarbitOID: true, pgtype.VarbitArrayOID: true,
}
