package pipeline

import (
	"strings"

	"drawbridge/internal/contract"
	"drawbridge/internal/strictyaml"
)

// contractShape is a file of the Open Data Contract Standard, version 3: what is read of it, and every other key that the standard has,
// which is not looked at. A key that the standard does not have is a mistake.
func contractShape() strictyaml.Shape {
	text := strictyaml.Shape{Kind: strictyaml.Text}
	member := standard("description dateIn dateOut replacedByUsername comment customProperties tags id authoritativeDefinitions",
		strictyaml.Key{Name: "username", Shape: text}, strictyaml.Key{Name: "name", Shape: text}, strictyaml.Key{Name: "role", Shape: text})
	return standard("name tenant tags servers dataProduct description domain support price slaDefaultElement slaProperties authoritativeDefinitions customProperties contractCreatedTs",
		strictyaml.Key{Name: "version", Required: true, Shape: strictyaml.Sentence(), Doc: "the contract's own version"},
		strictyaml.Key{Name: "kind", Required: true, Shape: strictyaml.OneOf("DataContract"), Doc: "write DataContract"},
		strictyaml.Key{Name: "apiVersion", Required: true, Shape: strictyaml.OneOf("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0"), Doc: "the standard's version"},
		strictyaml.Key{Name: "id", Required: true, Shape: strictyaml.Sentence(), Doc: "the contract's identifier"},
		strictyaml.Key{Name: "status", Required: true, Shape: strictyaml.Sentence(), Doc: "such as active"},
		strictyaml.Key{Name: "schema", Required: true, Shape: strictyaml.ListOf(schemaObjectShape()), Doc: "the tables that it is about"},
		strictyaml.Key{Name: "roles", Shape: list(standard("description firstLevelApprovers secondLevelApprovers customProperties id",
			strictyaml.Key{Name: "role", Required: true, Shape: strictyaml.Sentence()}, strictyaml.Key{Name: "access", Shape: text}))},
		strictyaml.Key{Name: "team", Shape: list(member).OrElse(standard("name description customProperties tags id authoritativeDefinitions",
			strictyaml.Key{Name: "members", Shape: list(member)}))},
	)
}

// standard is an object with some keys, and others of the standard that are not looked at.
func standard(others string, keys ...strictyaml.Key) strictyaml.Shape {
	for name := range strings.FieldsSeq(others) {
		keys = append(keys, strictyaml.Key{Name: name, Shape: strictyaml.Shape{Kind: strictyaml.Any}})
	}
	return strictyaml.ObjectOf(keys...)
}

// list may be empty.
func list(elem strictyaml.Shape) strictyaml.Shape {
	return strictyaml.Shape{Kind: strictyaml.List, Elem: &elem}
}

const elementKeys = "description businessName authoritativeDefinitions tags customProperties id "

func schemaObjectShape() strictyaml.Shape {
	return standard(elementKeys+"physicalType dataGranularityDescription relationships",
		strictyaml.Key{Name: "name", Required: true, Shape: strictyaml.Sentence(), Doc: "its name"},
		strictyaml.Key{Name: "physicalName", Shape: strictyaml.Sentence()},
		strictyaml.Key{Name: "logicalType", Shape: strictyaml.OneOf("object")},
		strictyaml.Key{Name: "properties", Required: true, Shape: strictyaml.ListOf(schemaPropertyShape()), Doc: "the columns that readers rely on"},
		strictyaml.Key{Name: "quality", Shape: list(qualityShape())},
	)
}

func schemaPropertyShape() strictyaml.Shape {
	flag := strictyaml.Shape{Kind: strictyaml.Boolean}
	return standard(elementKeys+"primaryKeyPosition partitioned partitionKeyPosition classification encryptedName transformSourceObjects transformLogic "+
		"transformDescription examples criticalDataElement relationships properties items",
		strictyaml.Key{Name: "name", Required: true, Shape: columnShape(), Doc: "its name"},
		strictyaml.Key{Name: "physicalName", Shape: columnShape()},
		strictyaml.Key{Name: "logicalType", Shape: strictyaml.OneOf(texts(contract.Kinds())...)},
		strictyaml.Key{Name: "physicalType", Shape: strictyaml.Sentence()},
		strictyaml.Key{Name: "required", Shape: flag}, strictyaml.Key{Name: "unique", Shape: flag}, strictyaml.Key{Name: "primaryKey", Shape: flag},
		strictyaml.Key{Name: "logicalTypeOptions", Shape: strictyaml.Shape{Kind: strictyaml.Any}},
		strictyaml.Key{Name: "quality", Shape: list(qualityShape())},
	)
}

func qualityShape() strictyaml.Shape {
	number, text, cells := strictyaml.Shape{Kind: strictyaml.Number}, strictyaml.Shape{Kind: strictyaml.Text}, list(strictyaml.Shape{Kind: strictyaml.Cell})
	keys := []strictyaml.Key{
		{Name: "name", Shape: text},
		{Name: "type", Shape: strictyaml.OneOf("text", "library", "sql", "custom")},
		{Name: "metric", Shape: text},
		{Name: "rule", Shape: text},
		{Name: "unit", Shape: strictyaml.OneOf("rows", "percent")},
		{Name: "severity", Shape: text},
		{Name: "validValues", Shape: cells},
		{Name: "arguments", Shape: standard("pattern missingValues", strictyaml.Key{Name: "validValues", Shape: cells}, strictyaml.Key{Name: "properties", Shape: list(columnShape())})},
		{Name: "mustBe", Shape: strictyaml.Shape{Kind: strictyaml.Cell}},
		{Name: "mustNotBe", Shape: strictyaml.Shape{Kind: strictyaml.Cell}},
		{Name: "mustBeBetween", Shape: list(number)},
		{Name: "mustNotBeBetween", Shape: list(number)},
	}
	for _, name := range []string{"mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo"} {
		keys = append(keys, strictyaml.Key{Name: name, Shape: number})
	}
	return standard("id authoritativeDefinitions businessImpact customProperties description dimension method schedule scheduler tags query engine implementation", keys...)
}
