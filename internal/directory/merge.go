package directory

// Merge returns have as it is after a file was applied: the file's objects
// replace those with the same key, new ones are added, and with prune those
// that the file does not hold are taken away. Neither argument is changed.
//
// An account keeps its id and what is read-only of it, an assignment keeps who
// gave it. What the file does not say about disabled, suspended, closed and identity_provider
// stays as it is, so that applying a file never undoes a revocation by leaving
// it out; to undo one, the file says false.
func Merge(have, file *Directory, prune bool) *Directory {
	file = file.Clone()
	return &Directory{
		Vendors: merge(have.Vendors, file.Vendors, prune, vendorKey, func(h, f *Vendor) {
			if f.unsaid {
				f.Suspended, f.SuspendedReason = h.Suspended, h.SuspendedReason
			}
			if f.providerUnsaid {
				f.IdentityProvider = h.IdentityProvider.clone()
			}
		}),
		Agreements: merge(have.Agreements, file.Agreements, prune, agreementKey, func(_, _ *Agreement) {}),
		Engagements: merge(have.Engagements, file.Engagements, prune, engagementKey, func(h, f *Engagement) {
			if f.unsaid {
				f.Closed = h.Closed
			}
			if f.unsaidFactor {
				f.PhishingResistant = h.PhishingResistant
			}
		}),
		Clusters: merge(have.Clusters, file.Clusters, prune, clusterKey, func(_, _ *Cluster) {}),
		Accounts: merge(have.Accounts, file.Accounts, prune, func(a *Account) string { return a.Email }, func(h, f *Account) {
			f.ID, f.Status, f.LastLogin, f.Created = h.ID, h.Status, h.LastLogin, h.Created
			if f.unsaid {
				f.Disabled = h.Disabled
			}
		}),
		Assignments: merge(have.Assignments, file.Assignments, prune, assignmentKey, func(h, f *Assignment) {
			f.GivenBy = h.GivenBy
		}),
	}
}

func assignmentKey(a *Assignment) string { return a.Account + "\x00" + a.Cluster }

// merge keeps the order of have, so that [Diff] finds what is the same in the
// same place. An object that is twice in the file is added, for [Directory.Check] to find.
func merge[T any](have, file []T, prune bool, key func(*T) string, keep func(have, file *T)) []T {
	index := make(map[string]int, len(file))
	for i := range file {
		if _, twice := index[key(&file[i])]; !twice {
			index[key(&file[i])] = i
		}
	}
	all := make([]T, 0, max(len(have), len(file)))
	used := make([]bool, len(file))
	for i := range have {
		j, ok := index[key(&have[i])]
		switch {
		case ok:
			keep(&have[i], &file[j])
			used[j] = true
			all = append(all, file[j])
		case !prune:
			all = append(all, have[i])
		}
	}
	for j := range file {
		if !used[j] {
			all = append(all, file[j])
		}
	}
	return all
}
