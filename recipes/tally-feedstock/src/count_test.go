package main

import (
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	counts, err := Count(strings.NewReader("One two.\nTwo\n"))
	if err != nil {
		t.Fatal(err)
	}
	if counts.Lines != 2 || counts.Words != 3 || counts.Bytes != 13 {
		t.Fatalf("%+v", counts)
	}
	if top := counts.Top(1); len(top) != 1 || top[0] != "two" {
		t.Fatalf("%v", top)
	}
}
