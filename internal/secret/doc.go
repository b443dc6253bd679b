// Package secret keeps secrets out of everything that is written down.
//
// A configuration holds references, `${env:NAME}` and `${file:/run/secrets/name}`, alone or inside a longer
// value. References travel through plans, histories and logs; a Resolver turns them into values at the last
// moment, inside the activity that connects, and only within the prefixes that the environment's Policy allows.
// Scan finds secrets that were written into files all the same, Redact takes known ones out of a text.
//
// No error of this package contains a value, only the names of references.
package secret
