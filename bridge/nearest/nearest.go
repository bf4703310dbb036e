// Package nearest finds the word that somebody who mistyped one meant.
//
// What it leaves to others: what to say about it.
package nearest

// Word returns the known word that is nearest to word in letters changed, added and left out (Levenshtein's distance), the first of
// several; ok: it differs in at most so many.
func Word(word string, known []string, most int) (best string, ok bool) {
	least := most + 1
	for _, k := range known {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best, least <= most
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
