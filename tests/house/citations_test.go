package house_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	numbers = regexp.MustCompile(`\d+(?:\.\d+)*`)
	// One section of a document, or several: with commas, "and", "or", "to".
	sections = regexp.MustCompile(
		`(?:\b[Ss]ections?|§+)\s+(\d+(?:\.\d+)*(?:(?:,|\s+and|\s+or|\s+to|,\s+and|,\s+or)\s+\d+(?:\.\d+)*)*)`)
	// The name of the document, directly before the word "section".
	rfc      = regexp.MustCompile(`RFC\s+(\d+(?:bis)?)[\s,(]*$`)
	contract = regexp.MustCompile(`\b[Cc]ontract(?:'s)?[\s,(]*$`)
	// A section of the contract without the word.
	contractNumber = regexp.MustCompile(`\b[Cc]ontract,?\s+(\d+)\b`)
	decisions      = regexp.MustCompile(`\bADRs?\s+(\d+(?:(?:,|\s+and|\s+or|\s+to)\s+\d{4})*)`)
	heading        = regexp.MustCompile(`(?m)^## (\d+) `)
)

// Pages of the contract's own, where "section N" means itself.
func ofTheContract(path string) bool {
	return path == "docs/contract.md" || strings.HasPrefix(path, "tests/contract/testdata/")
}

// A reader who follows a citation finds what it names.
func TestCitationsLeadSomewhere(t *testing.T) {
	t.Parallel()
	known := references(t)
	cited := map[string]bool{}
	chapters := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text(t, "docs/contract.md"), -1) {
		chapters[m[1]] = true
	}
	for _, f := range files(t) {
		joined := f.joined()
		for _, m := range sections.FindAllStringSubmatchIndex(joined, -1) {
			before, listed := joined[max(0, m[0]-120):m[0]], numbers.FindAllString(joined[m[2]:m[3]], -1)
			document := documentOf(before, known)
			if document == "" && ofTheContract(f.path) {
				document = "contract"
			}
			for _, number := range listed {
				switch {
				case document == "":
					t.Errorf(
						"%s:%d: of which document is section %s? Write \"contract, section N\", \"RFC N, section M\" "+
							"or a name of testdata/references.txt before it",
						f.path,
						f.line(m[0]),
						number,
					)
				case document == "contract":
					if !chapters[number] {
						t.Errorf("%s:%d: docs/contract.md has no section %s", f.path, f.line(m[0]), number)
					}
				case known[document+" "+number] == "":
					t.Errorf("%s:%d: testdata/references.txt does not list section %s of %s",
						f.path, f.line(m[0]), number, document)
				default:
					cited[document+" "+number] = true
				}
			}
		}
		for _, m := range contractNumber.FindAllStringSubmatchIndex(joined, -1) {
			if number := joined[m[2]:m[3]]; !chapters[number] {
				t.Errorf("%s:%d: docs/contract.md has no section %s", f.path, f.line(m[0]), number)
			}
		}
	}
	for reference := range known {
		if strings.ContainsAny(reference, "0123456789") && !cited[reference] && known[reference] != "" {
			t.Errorf("testdata/references.txt: nothing cites %s", reference)
		}
	}
}

// documentOf returns the document whose name ends the text: "contract", "RFC N", or a name of the list.
func documentOf(before string, known map[string]string) string {
	if m := rfc.FindStringSubmatch(before); m != nil {
		return "RFC " + m[1]
	}
	if contract.MatchString(before) {
		return "contract"
	}
	before = strings.Join(strings.Fields(strings.TrimRight(before, " ,(")), " ")
	longest := ""
	for reference, title := range known {
		if title == "" && strings.HasSuffix(before, reference) && len(reference) > len(longest) {
			longest = reference
		}
	}
	return longest
}

// references reads the list of sections that we cite: "document section" to title, and each document to "".
func references(t *testing.T) map[string]string {
	t.Helper()
	known := map[string]string{}
	for _, line := range table(t, "references.txt") {
		parts := strings.Split(line, "\t")
		if len(parts) != 3 || parts[2] == "" {
			t.Fatalf("testdata/references.txt: %q is not document, section and title with tabs between", line)
		}
		known[parts[0]+" "+parts[1]] = parts[2]
		if !strings.HasPrefix(parts[0], "RFC ") {
			known[parts[0]] = ""
		}
	}
	return known
}

func TestDecisionsExist(t *testing.T) {
	t.Parallel()
	found := 0
	for _, f := range files(t) {
		joined := f.joined()
		for _, m := range decisions.FindAllStringSubmatchIndex(joined, -1) {
			for _, number := range numbers.FindAllString(joined[m[2]:m[3]], -1) {
				found++
				pages, err := filepath.Glob(filepath.Join(root, "docs", "adr", number+"-*.md"))
				if err != nil || len(pages) != 1 || len(number) != 4 {
					t.Errorf("%s:%d: docs/adr has no %s (%v)", f.path, f.line(m[0]), number, err)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d citations of decisions were found", found)
	}
}

// Pages that are not in the repository cannot be read by who reads the source.
func TestNobodyCitesPagesFromElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := regexp.MustCompile(strings.Join(table(t, "elsewhere.txt"), "|"))
	for _, f := range files(t) {
		joined := f.joined()
		for _, m := range elsewhere.FindAllStringIndex(joined, -1) {
			t.Errorf("%s:%d: %q is not in this repository", f.path, f.line(m[0]), joined[m[0]:m[1]])
		}
	}
}
