package strictyaml

// unsupported is what is said of a key or value that the design has and this version does not carry out: it is refused by name, and
// never read and ignored. Which ones that are the tables of shapes say, by Later.
func unsupported(name string) string { return "not supported yet: " + name }
