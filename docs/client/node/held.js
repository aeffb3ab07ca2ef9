// What this process holds and has been told about it. Heartbeats name every lease in it, however it
// was selected: one that is missing from two of them in a row ends.
export class Held {
  #leases = new Set();
  #shut = new Map(); // accounts to keep away from, and until when

  // add notes a lease as soon as its Select is answered; remove is for one whose finished or
  // released_unused goes out, and for one that was lost.
  add(lease) { this.#leases.add(lease); }
  remove(lease) { this.#leases.delete(lease); }

  // has says whether a lease still stands. Ask before more than one upstream call is made on it.
  has(lease) { return this.#leases.has(lease); }

  tokens() { return [...this.#leases]; }

  // avoid says whether usher told to stop using an account. Selects need not ask: usher knows.
  avoid(account) { return Date.now() < (this.#shut.get(account) ?? 0); }

  changed({ account_id: account, blocked_reason: reason, blocked_until: until }) {
    this.#shut.delete(account);
    if (reason === 'EXCLUSION_REASON_UNSPECIFIED') return;
    this.#shut.set(account, until ? until.seconds * 1000 + until.nanos / 1e6 : Infinity);
  }

  // forgetAccounts is for a new stream, which tells anew of those that are blocked.
  forgetAccounts() { this.#shut.clear(); }
}
