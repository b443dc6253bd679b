// Package charset knows the encodings in which files are written, by the names that Postgres and the web give them.
package charset

import (
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// postgres are the encodings by the names of the server, as far as another name does not stand for them.
var postgres = map[string]encoding.Encoding{
	"latin1": charmap.ISO8859_1, "latin2": charmap.ISO8859_2, "latin3": charmap.ISO8859_3, "latin4": charmap.ISO8859_4,
	"latin5": charmap.ISO8859_9, "latin6": charmap.ISO8859_10, "latin7": charmap.ISO8859_13, "latin8": charmap.ISO8859_14,
	"latin9": charmap.ISO8859_15, "latin10": charmap.ISO8859_16,
	"iso88595": charmap.ISO8859_5, "iso88596": charmap.ISO8859_6, "iso88597": charmap.ISO8859_7, "iso88598": charmap.ISO8859_8,
	"win866": charmap.CodePage866, "win874": charmap.Windows874, "win1250": charmap.Windows1250, "win1251": charmap.Windows1251,
	"win1252": charmap.Windows1252, "win1253": charmap.Windows1253, "win1254": charmap.Windows1254, "win1255": charmap.Windows1255,
	"win1256": charmap.Windows1256, "win1257": charmap.Windows1257, "win1258": charmap.Windows1258,
	"koi8": charmap.KOI8R, "koi8r": charmap.KOI8R, "koi8u": charmap.KOI8U,
	"eucjp": japanese.EUCJP, "sjis": japanese.ShiftJIS, "euckr": korean.EUCKR, "uhc": korean.EUCKR,
	"euccn": simplifiedchinese.GBK, "gbk": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030, "big5": traditionalchinese.Big5,
	"cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1252": charmap.Windows1252,
}

// Find returns the encoding of a name. The encoding of UTF-8, which is that of no name too, is nil: there is nothing to convert.
// UTF-16 and UTF-32 are none that a file of lines is read in.
func Find(name string) (enc encoding.Encoding, ok bool) {
	key := plain(name)
	switch {
	case key == "" || key == "utf8" || key == "unicode":
		return nil, true
	case Wide(name):
		return nil, false
	}
	if enc, ok = postgres[key]; ok {
		return enc, true
	}
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || enc == nil {
		return nil, false
	}
	return enc, true
}

// Wide says that a name is one of the encodings that have no byte of their own for an ASCII character.
func Wide(name string) bool {
	key := plain(name)
	return strings.HasPrefix(key, "utf16") || strings.HasPrefix(key, "utf32") || strings.HasPrefix(key, "ucs") || strings.HasPrefix(key, "iso10646")
}

// Names are the names that are proposed to people.
func Names() []string {
	return slices.Sorted(slices.Values([]string{
		"UTF8", "LATIN1", "LATIN2", "LATIN5", "LATIN9", "WIN1250", "WIN1251", "WIN1252", "WIN1253", "WIN1254", "WIN1257",
		"KOI8R", "SJIS", "EUC_JP", "EUC_KR", "GBK", "GB18030", "BIG5",
	}))
}

// plain is a name without what people write differently.
func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "", "windows", "win").Replace(strings.ToLower(name))
}
