package tools

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean bounds what a playbook says, and removes what nobody sees (Unicode UTS 39, UAX 9 and UAX 31): a model reads it
// all the same, and people must see what their models are told. What joins letters or emoji goes as well: they stay
// readable without it.
func clean(text string, most int) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && isInvisible(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
	if len(text) <= most {
		return text
	}
	const ellipsis = "…"
	at := most - len(ellipsis)
	for !utf8.RuneStart(text[at]) {
		at--
	}
	return text[:at] + ellipsis
}

// isInvisible reports control and format characters, and the others that leave no trace: variation selectors and
// fillers.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Variation_Selector) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}
