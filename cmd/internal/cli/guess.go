package cli

import (
	"strings"
	"unicode/utf8"
)

// withNearGuesses leaves of the parser's "x, did you mean one of "y", "z"?" what x may be a slip for.
func withNearGuesses(text string) string {
	said, guesses, found := strings.Cut(text, ", did you mean ")
	if !found {
		return text
	}
	typed := said[strings.LastIndexByte(said, ' ')+1:]
	var near []string
	for _, guess := range strings.Split(strings.TrimSuffix(strings.TrimPrefix(guesses, "one of "), "?"), ", ") {
		if isNear(typed, strings.Trim(guess, `"`)) {
			near = append(near, guess)
		}
	}
	switch len(near) {
	case 0:
		return said
	case 1:
		return said + ", did you mean " + near[0] + "?"
	default:
		return said + ", did you mean one of " + strings.Join(near, ", ") + "?"
	}
}

// isNear allows a slip in every three letters: "tpo" is near "top", "cp" is not.
func isNear(typed, meant string) bool {
	typed, meant = strings.TrimLeft(typed, "-"), strings.TrimLeft(meant, "-")
	if typed == "" {
		return false
	}
	return strings.HasPrefix(meant, typed) || slips(typed, meant) <= utf8.RuneCountInString(typed)/3
}

// slips counts letters that are missing, too many, wrong, or swapped with the next.
func slips(a, b string) int {
	from, to := []rune(a), []rune(b)
	rows := make([][]int, len(from)+1)
	for i := range rows {
		rows[i] = make([]int, len(to)+1)
		rows[i][0] = i
	}
	for j := range to {
		rows[0][j+1] = j + 1
	}
	for i := range from {
		for j := range to {
			wrong := 1
			if from[i] == to[j] {
				wrong = 0
			}
			n := min(rows[i][j+1]+1, rows[i+1][j]+1, rows[i][j]+wrong)
			if i > 0 && j > 0 && from[i] == to[j-1] && from[i-1] == to[j] {
				n = min(n, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = n
		}
	}
	return rows[len(from)][len(to)]
}
