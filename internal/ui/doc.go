// Package ui renders Ringfence's pages: the templates, styles, scripts and
// pictures that are embedded in the program, and the headers that every page
// carries. It decides nothing about who may see what and knows no other
// package of Ringfence; page structs are filled by package console.
//
// A page is a folder below pages/ with a template of the same name, which
// defines "main" and may use the components below shared/. Every folder may
// hold a style sheet and a script; they are joined into one of each at start.
// Nothing is inline, so the content security policy forbids everything that
// does not come from the host itself.
//
// Start with [Renderer.Page], [Frame] and [Error].
package ui
