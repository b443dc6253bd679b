// Package store makes a pipeline folder into an immutable artifact, keeps artifacts in an OCI store, and
// attaches signed statements to them.
//
// The way of a release:
//
//	folder --Collect--> Files --Source--> tar --PutSource--> store     the CLI of a deployment
//	store  --Source---> Files --Pack----> Packed --Keep----> Release   the worker: a try, which claims no version
//	folder --Collect--> Files --Pack----> Packed --Push----> Release   the CLI's build, which claims the version
//	store  --Claim----> Release                                        a try that enters a second environment
//	store  --Load-----> Release                                        every later reader, by digest
//
// A release is an OCI manifest with one layer, the deterministic tar of its files. Its digest is a pure
// function of name, version and files: no clock, user, umask, file order or machine takes part. Releases are
// addressed by digest; tags are for people and are never moved: name-version of the one release that has claimed a
// version, name-version_digits of each that was tried. Everything that is read is verified against its digest.
//
// A store is a folder in OCI image layout or a repository in an OCI registry; both also keep plans and large
// evidence as blobs, and statements as referrers of the release that they are about.
package store
