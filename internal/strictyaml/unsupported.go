package strictyaml

// unsupported is what is said of a key or value that the design has and this version does not carry out: it is refused by name, and
// never read and ignored. Which ones that are the tables of shapes say, by Later, and perhaps why.
func unsupported(name, why string) string {
	if why != "" {
		return "not supported yet: " + name + ": " + why
	}
	return "not supported yet: " + name
}
