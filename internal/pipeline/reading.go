package pipeline

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"drawbridge/internal/partition"
)

// Reading is what the path of a file says.
type Reading struct {
	// Values are the texts of the parts, by name.
	Values map[string]string
	// date are the texts of @partition, by its name, and of the parts of dates, by their letters.
	date map[string]string
}

// complete works out what follows from a date, and says whether there is such a date.
func (r Reading) complete() bool {
	if hour := r.date["H"]; hour > "23" {
		return false
	}
	layout, text := "", r.date["Y"]
	switch {
	case r.date["j"] != "":
		layout, text = "2006-002", text+"-"+r.date["j"]
	case r.date["d"] != "":
		layout, text = time.DateOnly, text+"-"+r.date["m"]+"-"+r.date["d"]
	case r.date["m"] != "":
		_, err := time.Parse("2006-01", text+"-"+r.date["m"])
		return err == nil
	default:
		return true
	}
	at, err := time.Parse(layout, text)
	return err == nil && r.agrees(ofDay(at))
}

// agrees takes over what else is known of a date; where it contradicts the name it is false.
func (r Reading) agrees(says map[string]string) bool {
	for letter, text := range says {
		if was, known := r.date[letter]; known && was != text {
			return false
		}
		r.date[letter] = text
	}
	return true
}

// ofDay is a day in all the letters of dates but the hour's.
func ofDay(at time.Time) map[string]string {
	year, week := at.ISOWeek()
	return map[string]string{
		"Y": at.Format("2006"), "m": at.Format("01"), "d": at.Format("02"), "j": at.Format("002"),
		"G": fmt.Sprintf("%04d", year), "V": fmt.Sprintf("%02d", week),
	}
}

var weekKey = regexp.MustCompile(`^(\d{4})-W(\d{2})$`)

// dateOf is what a key says of dates, by their letters. How a key is written says its grain; integers are not written with dates.
func dateOf(k partition.Key) map[string]string {
	text := string(k)
	if m := weekKey.FindStringSubmatch(text); m != nil {
		return map[string]string{"G": m[1], "V": m[2]}
	}
	if at, err := time.Parse("2006-01-02T15", text); err == nil {
		says := ofDay(at)
		says["H"] = at.Format("15")
		return says
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return ofDay(at)
	}
	if at, err := time.Parse("2006-01", text); err == nil {
		return map[string]string{"Y": at.Format("2006"), "m": at.Format("01")}
	}
	if _, err := strconv.ParseUint(text, 10, 16); err == nil && len(text) == 4 {
		return map[string]string{"Y": text}
	}
	return nil
}

// Key is the partition that the path of a file says; ok is false where it says none of the scheme.
func (r Reading) Key(s partition.Scheme) (k partition.Key, ok bool) {
	text, ok := r.Spelling(s.By)
	if !ok {
		return "", false
	}
	k, err := s.Parse(text)
	if err != nil || !r.In(k) {
		return "", false
	}
	return k, true
}

// Spelling is what the path of a file says of its partition, as keys of a grain are written: whether there is such a key, and
// whether all of the path agrees with it, is not known.
func (r Reading) Spelling(by partition.By) (text string, ok bool) {
	if text, ok = r.date[PartitionParam]; ok {
		return text, true
	}
	needs := dateNeeds(by)
	for _, letter := range needs {
		if r.date[letter] == "" {
			return "", false
		}
	}
	switch by {
	case partition.Hour:
		text = r.day() + "T" + r.date["H"]
	case partition.Day:
		text = r.day()
	case partition.Week:
		text = r.date["G"] + "-W" + r.date["V"]
	case partition.Month:
		text = r.date["Y"] + "-" + r.date["m"]
	case partition.Year:
		text = r.date["Y"]
	default:
	}
	return text, needs != nil
}

func (r Reading) day() string { return r.date["Y"] + "-" + r.date["m"] + "-" + r.date["d"] }

// In says whether the path is of a file of a partition, for one that says which: nothing in it is otherwise in the key.
func (r Reading) In(k partition.Key) bool {
	text, named := r.date[PartitionParam]
	says := dateOf(k)
	if named && text != string(k) || !named && len(r.date) > 0 && says == nil {
		return false
	}
	for letter, text := range says {
		if said, known := r.date[letter]; known && said != text {
			return false
		}
	}
	return true
}

// dateNeeds are the letters of a date that say a partition of a grain; none where no date does.
func dateNeeds(by partition.By) []string {
	switch by {
	case partition.Hour:
		return []string{"d", "H"}
	case partition.Day:
		return []string{"d"}
	case partition.Week:
		return []string{"V"}
	case partition.Month:
		return []string{"m"}
	case partition.Year:
		return []string{"Y"}
	default:
		return nil
	}
}
