package edge

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// subject is one thing that a call is about.
type subject struct {
	concern Concern
	value   string
	where   string // the item of a batch, "" for none
}

// at puts the item of a batch before what is wrong with it.
func (s subject) at(err error) error {
	if err == nil || s.where == "" {
		return err
	}
	f := fault.Of(err)
	return fault.Wrap(err, f.Kind, f.Code, s.where+": "+f.Message)
}

// subjects finds everything that a call is about, in its path, its query and its body. body is what NoETL may
// see in place of the body, nil for the same.
func (c Call) subjects(route Route) (all []subject, body []byte, err error) {
	for _, name := range slices.Sorted(maps.Keys(route.vars)) {
		if concern := Concern(name); concern.known() {
			all = append(all, subject{concern: concern, value: route.vars[name]})
		}
	}
	inQuery, err := c.inQuery(route.Rule)
	if err != nil {
		return nil, nil, err
	}
	all = append(all, inQuery...)
	if len(route.Rule.Body) == 0 {
		return all, nil, nil
	}
	raw, err := c.Body()
	if err != nil {
		return nil, nil, err
	}
	if len(bytes.TrimSpace(raw)) == 0 && route.Rule.Starts == "" && !route.Rule.namesPlaybook() {
		return all, nil, nil
	}
	inBody, body, err := readBody(route.Rule, raw)
	return append(all, inBody...), body, err
}

func (c Call) inQuery(rule *Rule) (all []subject, err error) {
	if len(rule.Query) == 0 {
		return nil, nil
	}
	query, err := url.ParseQuery(c.Query)
	if err != nil {
		return nil, fault.New(fault.Invalid, "bad_query", "the query must be pairs of name=value, separated by &")
	}
	for _, name := range slices.Sorted(maps.Keys(rule.Query)) {
		switch values := query[name]; len(values) {
		case 0:
		case 1:
			all = append(all, subject{concern: rule.Query[name], value: values[0]})
		default: // servers differ in which one counts
			return nil, fault.New(fault.Invalid, "bad_query", name+" must not be repeated")
		}
	}
	for _, name := range rule.Required {
		if query.Get(name) == "" {
			return nil, fault.New(fault.Invalid, "parameter_required", "the query must say which one, with "+name+"=")
		}
	}
	return all, nil
}

// readBody finds what the members of a JSON object name. changed is the body without the addresses that a
// caller may not choose, nil if it had none.
func readBody(rule *Rule, raw []byte) (all []subject, changed []byte, err error) {
	top, err := readObject(raw, rule.names(), rule.badBody())
	if err != nil {
		return nil, nil, err
	}
	if rule.Items == "" {
		all, dirty, err := readMembers(rule, top, "")
		if err != nil || !dirty {
			return all, nil, err
		}
		changed, err = json.Marshal(top)
		return all, changed, err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(top[rule.Items], &items); err != nil {
		return nil, nil, fault.New(fault.Invalid, "bad_body", rule.Items+" must be an array")
	}
	if len(items) > maxItems {
		return nil, nil, fault.New(
			fault.TooLarge, "too_many_items", rule.Items+" may hold at most "+strconv.Itoa(maxItems)+" items",
		)
	}
	anyDirty := false
	for i, item := range items {
		where := rule.Items + "[" + strconv.Itoa(i) + "]"
		object, err := readObject(item, rule.members(), rule.badBody())
		if err != nil {
			return nil, nil, subject{where: where}.at(err)
		}
		found, dirty, err := readMembers(rule, object, where)
		if err != nil {
			return nil, nil, err
		}
		if all = append(all, found...); !dirty {
			continue
		}
		if items[i], err = json.Marshal(object); err != nil {
			return nil, nil, err
		}
		anyDirty = true
	}
	if !anyDirty {
		return all, nil, nil
	}
	if top[rule.Items], err = json.Marshal(items); err != nil {
		return nil, nil, err
	}
	changed, err = json.Marshal(top)
	return all, changed, err
}

// maxItems bounds a batch: each item may cost a question to NoETL and one to auth.
const maxItems = 500

// names are the members of the top of a body that must not be there twice.
func (r Rule) names() []string {
	if r.Items != "" {
		return []string{r.Items}
	}
	return r.members()
}

// members are the names of Body, those of members within members by the outer one.
func (r Rule) members() []string {
	names := make([]string, 0, len(r.Body))
	for name := range r.Body {
		outer, _, _ := strings.Cut(name, ".")
		names = append(names, outer)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// readObject reads a JSON object. Decoders differ in which of two members of one name counts, and in whether
// case does: a check must not read another one than the server does, so names that matter are written
// once, as they are.
func readObject(raw []byte, names []string, code string) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil || !utf8.Valid(raw) {
		return nil, fault.New(
			fault.Invalid, "bad_body", "the body must be a JSON object in UTF-8: the gateway checks what it names",
		)
	}
	for _, name := range names {
		if spelled, count := spellings(raw, name); count > 1 || count == 1 && spelled != name {
			return nil, fault.New(fault.Invalid, code, "write the member "+name+" once, in this spelling")
		}
	}
	return object, nil
}

// spellings counts how often a JSON object has a top-level member of this name in any case, and returns the
// last spelling.
func spellings(raw []byte, name string) (spelled string, count int) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	depth, key := 0, true
	for {
		token, err := dec.Token()
		if err != nil {
			return spelled, count
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
			key = true
			continue
		case string:
			if depth == 1 && key && strings.EqualFold(t, name) {
				spelled, count = t, count+1
			}
		}
		if depth == 1 {
			key = !key
		}
	}
}

// readMembers finds what the members of one object name, and takes the addresses out of its workload.
func readMembers(rule *Rule, object map[string]json.RawMessage, where string) (all []subject, dirty bool, err error) {
	for _, name := range slices.Sorted(maps.Keys(rule.Body)) {
		s := subject{concern: rule.Body[name], where: where}
		if outer, inner, nested := strings.Cut(name, "."); nested {
			changed, err := readNested(rule.Body[name], object, outer, inner)
			if err != nil {
				return nil, false, s.at(err)
			}
			dirty = dirty || changed
			continue
		}
		raw := object[name]
		if raw == nil || string(raw) == "null" {
			continue
		}
		switch s.concern {
		case AWorkload:
			clean, changed := withoutAddresses(raw)
			object[name], dirty = clean, dirty || changed
			continue
		case ForOperators:
			s.value = name
			all = append(all, s)
			continue
		default:
		}
		var value noetlwire.ID // a string or a number, kept to the digit
		if json.Unmarshal(raw, &value) != nil {
			return nil, false, s.at(fault.New(fault.Invalid, "bad_body", name+" must be a string or a number"))
		}
		if s.value = string(value); s.value != "" {
			all = append(all, s)
		}
	}
	started := 0
	for _, s := range all {
		if s.concern == APlaybook || s.concern == ACatalogID {
			started++
		}
	}
	switch {
	case rule.Class != Start || !rule.namesPlaybook():
	case started == 0 && rule.Starts != "":
		all = append(all, subject{concern: APlaybook, value: rule.Starts, where: where})
	case started != 1:
		return nil, false, subject{where: where}.at(fault.New(
			fault.Invalid, "missing_path",
			"name the playbook by one path or by one catalog_id, not both: the gateway checks whether you may "+
				"execute it",
		))
	}
	return all, dirty, nil
}

// badBody is the code of a body that names things in a way that readers may take differently.
func (r Rule) badBody() string {
	if r.Class == Start && r.namesPlaybook() {
		return "missing_path"
	}
	return "bad_body"
}

// namesPlaybook reports whether the body says what is started.
func (r Rule) namesPlaybook() bool {
	for _, concern := range r.Body {
		if concern == APlaybook || concern == ACatalogID {
			return true
		}
	}
	return false
}

// readNested takes the addresses out of a workload that is a member of a member.
func readNested(concern Concern, object map[string]json.RawMessage, outer, inner string) (changed bool, err error) {
	if concern != AWorkload || object[outer] == nil || string(object[outer]) == "null" {
		return false, nil
	}
	within, err := readObject(object[outer], []string{inner}, "bad_body")
	if err != nil {
		return false, err
	}
	clean, changed := withoutAddresses(within[inner])
	if !changed {
		return false, nil
	}
	within[inner] = clean
	object[outer], err = json.Marshal(within)
	return true, err
}

// withoutAddresses takes the addresses out of a workload.
func withoutAddresses(raw json.RawMessage) (clean json.RawMessage, changed bool) {
	var workload map[string]json.RawMessage
	if json.Unmarshal(raw, &workload) != nil {
		return raw, false // no object has no members
	}
	before := len(workload)
	for _, name := range noetlwire.Addresses() {
		delete(workload, name)
	}
	if len(workload) == before {
		return raw, false
	}
	clean, err := json.Marshal(workload)
	return clean, err == nil
}
