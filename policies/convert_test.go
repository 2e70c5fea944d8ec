package policies

import (
	"encoding/json"
	"testing"

	ctyjson "github.com/zclconf/go-cty/cty/json"
)

func TestToValueGivesWhatCtyDoes(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `0`, `-7`, `1.5`, `1e300`, `12345678901234567890`, `0.1`, `""`, `"e\u0301"`, `[]`, `{}`, `[1,"a",null,[{}]]`,
		`{"a":{"b":[1,2.5,{"c":null}]},"d":"x"}`,
	} {
		got, err := toValue(json.RawMessage(text))
		if err != nil {
			t.Fatalf("toValue(%s): %v", text, err)
		}
		typ, err := ctyjson.ImpliedType([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want, err := ctyjson.Unmarshal([]byte(text), typ)
		if err != nil {
			t.Fatal(err)
		}
		if !got.RawEquals(want) {
			t.Errorf("toValue(%s) = %#v, want %#v", text, got, want)
		}
	}
}
