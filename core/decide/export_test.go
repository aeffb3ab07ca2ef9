package decide

// DrawScores gives the drawn order of candidates with these scores, as indices.
func DrawScores(scores []float64, seed uint64) []int32 {
	var w Workspace
	for i, s := range scores {
		w.top = append(w.top, Candidate{Score: s, Row: int32(i)})
	}
	out := []int32{}
	for _, c := range w.Draw(seed) {
		out = append(out, c.Row)
	}
	return out
}
