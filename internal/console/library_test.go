package console

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/change/changetest"
	"github.com/ringfence/ringfence/internal/studio"
)

// libraryOffice is an office in whose policies working hours stand for claims.
func libraryOffice(t *testing.T) (*office, *changetest.Memory) {
	t.Helper()
	o := newOffice(t, plainText)
	hours := studio.FromLibrary("working_hours")
	files, err := hours.Files(studio.LibraryPlace{Cluster: "claims"}, hours.Sample())
	if err != nil {
		t.Fatal(err)
	}
	keeper := changetest.New(o.dir.d.Accounts, files)
	o.Changes = keeper
	return o, keeper
}

func sampleForm(m *studio.LibraryModule, more url.Values) url.Values {
	values := url.Values{"draft": {""}, "title": {"first"}, "reason": {"slow"}, "name": {m.Name}, "cluster": {""}}
	fillParams(values, m, m.Sample())
	maps.Copy(values, more)
	return values
}

// TestLibrary_Pages: each module is explained, and its form can be sent with
// what is good and says what is not.
func TestLibrary_Pages(t *testing.T) {
	o, keeper := libraryOffice(t)
	dir := t.ArtifactDir()
	keep := func(name string, who, path string, words ...string) {
		w := o.get(who, path)
		shows(t, w, http.StatusOK, words...)
		saveAssets(t, o.UI, dir, w.Body.String())
		if err := os.WriteFile(filepath.Join(dir, name+".html"), w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	keep("library", "abe", "/console/policies/library", "Working hours", "In force in one place")
	for i, m := range studio.Library() {
		keep("module-"+m.Name, "rae", moduleURL(m.Name), m.Title, html.EscapeString(m.Page[0]), "# Library module "+m.Name)
		keep("add-"+m.Name, "ada", moduleURL(m.Name)+"/add", "Add to the draft", m.Fields[0].Label)
		rec := o.post("ada", moduleURL(m.Name)+"/add", sampleForm(m, nil))
		if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != draftURL(int64(i+1)) {
			t.Fatalf("%s: %d %s\n%s", m.Name, rec.Code, rec.Header().Get("Location"), rec.Body)
		}
		d, err := keeper.Draft(t.Context(), int64(i+1))
		if err != nil || len(d.Modules) != 6 || d.Modules["all/"+m.Name+".json"] != string(m.Sample()) {
			t.Errorf("%s: the draft holds %d files, parameters %s, %v", m.Name, len(d.Modules), d.Modules["all/"+m.Name+".json"], err)
		}
	}
	shows(t, o.get("ada", libraryURL+"/nothing"), http.StatusNotFound)
	if rec := o.post("rae", moduleURL("step_up")+"/add", sampleForm(studio.FromLibrary("step_up"), nil)); rec.Code != http.StatusForbidden {
		t.Errorf("a reviewer adds a module: %d", rec.Code)
	}
}

// TestLibrary_Refused: what is wrong is said beside the field, and nothing is begun.
func TestLibrary_Refused(t *testing.T) {
	o, keeper := libraryOffice(t)
	hours := studio.FromLibrary("working_hours")
	for name, c := range map[string]struct {
		change url.Values
		want   string
	}{
		"time":          {url.Values{"param_from": {"8"}}, "Give a time of day"},
		"days":          {url.Values{"param_days": {}}, "This cannot be empty."},
		"no such day":   {url.Values{"param_days": {"noday"}}, "Choose days of the list."},
		"zone":          {url.Values{"param_time_zone": {"Mars/Olympus"}}, "Give the name of a time zone"},
		"name":          {url.Values{"name": {"Hours!"}}, "begins with a letter"},
		"taken":         {url.Values{"cluster": {"claims"}}, "has a file"},
		"cluster":       {url.Values{"cluster": {"nowhere"}}, "is not among the choices"},
		"without title": {url.Values{"title": {" "}}, "Give a title."},
		"no reason":     {url.Values{"reason": {""}}, "Give a reason."},
	} {
		t.Run(name, func(t *testing.T) {
			shows(t, o.post("ada", moduleURL("working_hours")+"/add", sampleForm(hours, c.change)), http.StatusUnprocessableEntity, c.want)
		})
	}
	if all, err := keeper.Drafts(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%d drafts were begun, %v", len(all), err)
	}
	keeper.SetOrigin(change.Origin{Kind: "folder", Place: "/etc/policy"})
	for _, path := range []string{"/add", "/parameters?file=clusters/claims/working_hours.json"} {
		shows(t, o.get("ada", moduleURL("working_hours")+path), http.StatusConflict, "Changed elsewhere")
	}
}

// TestLibrary_Parameters: a change of parameters changes one file of a draft,
// and nobody's change is lost.
func TestLibrary_Parameters(t *testing.T) {
	o, keeper := libraryOffice(t)
	hours, file := studio.FromLibrary("working_hours"), "clusters/claims/working_hours.json"
	path := moduleURL("working_hours") + "/parameters?file=" + url.QueryEscape(file)
	shows(t, o.get("ada", path), http.StatusOK, "Only the file of the parameters changes", "18:00")
	shows(t, o.get("ada", moduleURL("step_up")+"/parameters?file="+url.QueryEscape(file)), http.StatusNotFound)
	before, err := keeper.Revision(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	seen := fingerprint(before.Modules[file])
	form := sampleForm(hours, url.Values{"param_until": {"20:30"}, "seen": {seen}})
	if rec := o.post("ada", path, form); rec.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	d, err := keeper.Draft(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range d.Modules {
		if (text != before.Modules[name]) != (name == file) {
			t.Errorf("%s: %s", name, text)
		}
	}
	inDraft := path + "&draft=1"
	shows(t, o.get("ada", inDraft), http.StatusOK, "20:30")
	shows(t, o.post("ada", inDraft, form), http.StatusUnprocessableEntity, "Somebody else changed these parameters")
	again := sampleForm(hours, url.Values{"param_until": {"21:00"}, "seen": {fingerprint(d.Modules[file])}})
	if rec := o.post("ada", inDraft, again); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != draftURL(1) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	same := sampleForm(hours, url.Values{"param_until": {"21:00"}})
	now, err := keeper.Draft(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same.Set("seen", fingerprint(now.Modules[file]))
	if rec := o.post("ada", inDraft, same); rec.Code >= 500 {
		t.Errorf("the same again: %d %s", rec.Code, rec.Body)
	}
}
