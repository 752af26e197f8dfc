package main

import "testing"

func TestSlug(t *testing.T) {
	if slug := Slug("Où est l'Été? — Größe 3", "-"); slug != "où-est-lete-groesse-3" {
		t.Fatal(slug)
	}
}
