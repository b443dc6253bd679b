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
	for _, family := range [][]Recipe{columnRecipes(), replacingRecipes(), notNullRecipes(), defaultRecipes(), checkRecipes(), indexRecipes(), uniqueRecipes(), foreignKeyRecipes(), enumRecipes(), relationRecipes(), ownRecipes()} {
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
