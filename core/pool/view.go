package pool

// Query is what of a request decides which accounts can ever serve it.
// It is comparable: views may be kept by it, as long as their set is current.
type Query struct {
	Group     string // "" is every account
	Model     string // as requested, not trimmed; "" is any
	Provider  string // "" is any
	Transport Transport
}

// Row is one account of a view, as far as ranking needs it.
type Row struct {
	Priority int
	Index    int32 // place in the set
	Ordinal  int32 // Account.Ordinal
	IDRank   int32 // place of the id in the order of CompareIDs
	Limit    int32 // slots; 0 is unlimited
	Quiet    bool  // see Account.Quiet
}

// View is the accounts of a group that may serve a query if time and load allow, in listing order.
// It is immutable and safe for concurrent use.
type View struct {
	set      *Set
	query    Query
	members  int
	quiet    bool
	rows     []Row
	upstream []string
	ordinals []int32
}

// View filters by what does not change while the set stands: group, provider,
// model mapping and transport. It costs one pass over the group.
func (s *Set) View(q Query) *View {
	members := s.Members(q.Group)
	v := &View{set: s, query: q, members: len(members), quiet: true}
	places := s.places[q.Group]
	for n, a := range members {
		upstream, ok := a.Models.Map(q.Model)
		if !ok || !a.Serves(q.Provider) || !a.Transports.Serve(q.Transport) {
			continue
		}
		i := places[n]
		v.rows = append(v.rows, Row{
			Priority: a.Priority, Index: i, Ordinal: int32(a.Ordinal), IDRank: s.idRank[i],
			Limit: a.Limit(), Quiet: a.Quiet(),
		})
		v.quiet = v.quiet && a.Quiet()
		v.upstream = append(v.upstream, upstream)
		v.ordinals = append(v.ordinals, int32(a.Ordinal))
	}
	return v
}

// Serves tells whether the account is of the provider; "" is any.
func (a *Account) Serves(provider string) bool { return provider == "" || a.Provider == provider }

// Len gives the number of rows.
func (v *View) Len() int { return len(v.rows) }

// Rows gives all rows. The caller must not change them.
func (v *View) Rows() []Row { return v.rows }

// Account gives the account of row i, 0 ≤ i < Len.
func (v *View) Account(i int) *Account { return v.set.all[v.rows[i].Index] }

// Upstream gives the model that row i's account is asked for, 0 ≤ i < Len.
func (v *View) Upstream(i int) string { return v.upstream[i] }

// Ordinals gives the rows' ordinals, aligned with Rows. The caller must not change it.
func (v *View) Ordinals() []int32 { return v.ordinals }

// Set gives the set that the view was made from.
func (v *View) Set() *Set { return v.set }

// Query gives the query that the view answers.
func (v *View) Query() Query { return v.query }

// Members gives the number of accounts in the group, fit or not.
func (v *View) Members() int { return v.members }

// Quiet tells that every row is quiet.
func (v *View) Quiet() bool { return v.quiet }
