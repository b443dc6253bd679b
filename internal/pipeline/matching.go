package pipeline

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// place is where in a name a piece may begin: its first and last byte.
type place struct{ first, last int }

func (p place) one() bool { return p.first == p.last }

// places are where the pieces of a segment may begin in a name, over all ways to read it, and where the last of them ends; nil
// where there is no way. A piece with one beginning and one end has the same text in every way. fold takes upper and lower case of
// plain text for the same.
func (s segment) places(name string, fold bool) []place {
	if strings.HasPrefix(name, ".") && len(s) > 0 && s[0].kind != literal {
		return nil
	}
	if at, ok := s.longAlone(); ok {
		return s.placesAround(at, name, fold)
	}
	width := len(name) + 1
	all := make([]bool, (len(s)+1)*width)
	at := func(i int) []bool { return all[i*width : (i+1)*width] } // whether the i-th piece may begin at a byte
	at(0)[0] = true
	for i, t := range s {
		if !t.forward(name, fold, at(i), at(i+1)) {
			return nil
		}
	}
	if !at(len(s))[len(name)] {
		return nil
	}
	clear(at(len(s))[:len(name)])
	for i, t := range slices.Backward(s) {
		t.backward(name, fold, at(i), at(i+1)) // what does not lead to the end is taken away
	}
	places := make([]place, len(s)+1)
	for i := range places {
		may := at(i)
		places[i].first = slices.Index(may, true)
		for places[i].last = len(name); !may[places[i].last]; {
			places[i].last--
		}
	}
	return places
}

// longAlone finds the one long piece of a segment, or its end where there is none; ok is false where there are several.
func (s segment) longAlone() (at int, ok bool) {
	at = len(s)
	for i, t := range s {
		if t.long() {
			if at < len(s) {
				return 0, false
			}
			at = i
		}
	}
	return at, true
}

// placesAround is places where one piece alone is long: the others are looked for from both ends of the name.
func (s segment) placesAround(at int, name string, fold bool) []place {
	places := make([]place, len(s)+1)
	from, to := 0, len(name)
	for i := range at {
		places[i] = place{from, from}
		if from = s[i].end(name, from, fold); from < 0 {
			return nil
		}
	}
	for i := len(s) - 1; i > at; i-- {
		places[i+1] = place{to, to}
		if to = s[i].start(name, to, fold); to < from {
			return nil
		}
	}
	if at == len(s) {
		places[at] = place{from, from}
		if from != to {
			return nil
		}
		return places
	}
	places[at], places[at+1] = place{from, from}, place{to, to}
	if from == to && s[at].kind != anyText || to < len(name) && !utf8.RuneStart(name[to]) {
		return nil
	}
	for j := from; j < to; j++ {
		if !s[at].holds(name[j]) {
			return nil
		}
	}
	return places
}

// forward finds where a piece may end that begins at one of from, and says whether there is a place.
func (t token) forward(name string, fold bool, from, to []bool) bool {
	some, within := false, false
	for j := range from {
		if t.long() {
			within = j > 0 && (within || from[j-1]) && t.holds(name[j-1])
			to[j] = (within || from[j] && t.kind == anyText) && (j == len(name) || utf8.RuneStart(name[j]))
			some = some || to[j]
		} else if end := t.end(name, j, fold); from[j] && end >= 0 {
			to[end], some = true, true
		}
	}
	return some
}

// backward keeps of from where a piece may begin that ends at one of to.
func (t token) backward(name string, fold bool, from, to []bool) {
	leads := false
	for j := len(name); j >= 0; j-- {
		if t.long() {
			leads = j < len(name) && (leads || to[j+1]) && t.holds(name[j])
			from[j] = from[j] && (leads || t.kind == anyText && to[j])
		} else if from[j] {
			end := t.end(name, j, fold)
			from[j] = end >= 0 && to[end]
		}
	}
}

// long says that a piece is as long as it likes.
func (t token) long() bool { return t.kind == anyText || t.kind == part || t.kind == key }

// holds says whether a byte may be within a long piece. Keys hold what keys are made of, so that a name goes on after one.
func (t token) holds(c byte) bool {
	return t.kind != key || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// end is where a piece of one length ends that begins at j; -1 where it is not there.
func (t token) end(name string, j int, fold bool) int {
	length := t.length()
	if length == 0 {
		_, length = utf8.DecodeRuneInString(name[j:])
	}
	if length == 0 || j+length > len(name) || !t.stands(name[j:j+length], fold) {
		return -1
	}
	return j + length
}

// start is where a piece of one length begins that ends at j; -1 where it is not there.
func (t token) start(name string, j int, fold bool) int {
	length := t.length()
	if length == 0 {
		_, length = utf8.DecodeLastRuneInString(name[:j])
	}
	if length == 0 || length > j || !t.stands(name[j-length:j], fold) {
		return -1
	}
	return j - length
}

// length is how many bytes a piece has that is not long; 0: one character.
func (t token) length() int {
	switch t.kind {
	case literal:
		return len(t.text)
	case digits:
		return dateDigits(t.name)
	default:
		return 0
	}
}

// stands says whether a piece can stand for a text of its length.
func (t token) stands(text string, fold bool) bool {
	switch t.kind {
	case literal:
		return text == t.text || fold && strings.EqualFold(text, t.text)
	case class:
		fits, _ := path.Match(t.text, text)
		return fits
	case digits:
		for i := range len(text) {
			if text[i] < '0' || text[i] > '9' {
				return false
			}
		}
	default:
	}
	return true
}
