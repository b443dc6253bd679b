// Package fieldtest makes values of which every part is there, so that a test finds the field that is added later too. Only tests
// import it.
package fieldtest

import "reflect"

// Value fills what v holds: every pointer points, every slice and map has one element, and leaf sets the rest. What leaf says
// that it has set is not looked into.
func Value(v reflect.Value, leaf func(reflect.Value) bool) {
	if leaf(v) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			Value(field, leaf)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		Value(v.Elem(), leaf)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		Value(v.Index(0), leaf)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		Value(key, leaf)
		Value(value, leaf)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	default: // is leaf's to know
	}
}
