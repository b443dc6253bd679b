// Package secret keeps secrets out of everything that is written down.
//
// A policy holds references, `${env:NAME}` and `${file:/run/secrets/name}`, alone or inside a longer value; what authors
// write holds none. A Resolver turns them into values at the last moment, inside the activity that connects, and Known
// remembers those, so that they are taken out of every error that leaves the process. Scan finds secrets that were written
// into files all the same.
//
// No error of this package contains a value, only the names of references.
package secret
