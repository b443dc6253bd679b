package migrate

import "strings"

// Recipe is what is known of an operation: the registry has one for each that is carried out.
type Recipe struct {
	Kind Kind
	// What the operation does, How its steps go, and Undo how it is taken back, in words.
	What, How, Undo string
	// Lock is the strongest that one of its steps takes on the table.
	Lock Lock
	// Since is the first version of Postgres that it is done on, as server_version_num has it.
	Since int
	plan  func(*planner, Operation)
}

// SinceText is the first version in words: 14, 14.4.
func (r Recipe) SinceText() string { return strings.TrimSuffix(versionText(r.Since), ".0") }

// Recipes lists the registry, in the order in which people read it. Each has its plans in testdata, and a scenario in the tests of
// internal/warehouse/alter that shows what it comes to, what it locks, and that it survives a crash and is taken back.
func Recipes() []Recipe {
	var all []Recipe
	for _, family := range [][]Recipe{columnRecipes(), replacingRecipes(), notNullRecipes(), defaultRecipes(), checkRecipes(), indexRecipes()} {
		all = append(all, family...)
	}
	return all
}

// RecipeOf finds an operation in the registry.
func RecipeOf(kind Kind) (Recipe, bool) {
	for _, r := range Recipes() {
		if r.Kind == kind {
			return r, true
		}
	}
	return Recipe{}, false
}

// Refusal is an operation that is refused by name, and why.
type Refusal struct {
	Kind   Kind
	Reason string
}

// Refusals lists operations that people ask for, and that are not carried out.
func Refusals() []Refusal {
	return []Refusal{
		{"add_foreign_key", "it locks two tables, and a migration is about one"},
		{"drop_foreign_key", "it locks two tables, and a migration is about one"},
		{"add_unique", "create_index with unique: true holds the rows to it just as well"},
		{"add_primary_key", "create_index with unique: true and set_not_null hold the rows to it just as well"},
		{"add_enum_value", "a value of an enum can never be taken away again"},
		{"rename_table", "writers of the old name could neither COPY nor TRUNCATE through a view"},
		{"create_table", "nobody reads a table that is not there yet: make it by hand"},
		{"drop_table", "nothing brings its rows back"},
		{"create_view", "nobody reads a view that is not there yet: make it by hand"},
		{"sql", "nothing says which locks SQL of one's own takes, and how it is taken back"},
	}
}

// Later says why an operation is refused by name; empty: nobody knows the name.
func Later(kind Kind) string {
	for _, r := range Refusals() {
		if r.Kind == kind {
			return r.Reason
		}
	}
	return ""
}
