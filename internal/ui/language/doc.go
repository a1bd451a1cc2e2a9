// Package language holds what the pages say in other languages than English,
// and puts the source of templates into them.
//
// English texts are written where they are used: in templates, and in Go as
// constants of the type ui.Text. They are the keys of the catalogues, one
// gettext file (PO) for each language, which translators' tools can edit. A
// template is translated once, when it is loaded: what stands between two
// block elements or control structures is a segment. Its actions are {1}, {2}
// in the catalogue, and elements inside it are bare tags, so that a
// translation can order words as its language does.
//
// A new text needs no registration. The test of this package lists what a
// catalogue lacks and what it has in vain; with -update it adds and removes
// the entries.
package language
