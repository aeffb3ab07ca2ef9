// Events over Report, with a place for those that cannot be delivered while usher is away.
import { away, explain, unary } from './usher.js';

const REPORT_DEADLINE_MS = 2_000;
const MAX_BATCH = 256; // events that one Report may carry
const MAX_KEPT = 8_192; // events that wait for usher to come back

export class Reports {
  kept = []; // not delivered yet, oldest first

  constructor(scheduler) {
    this.scheduler = scheduler;
  }

  // send delivers events, those that were kept before them first. While usher is away they are
  // kept: sending them again is safe, since each kind of event counts once a lease.
  async send(...events) {
    this.keep(...events);
    while (this.kept.length > 0) {
      const batch = this.kept.splice(0, MAX_BATCH);
      try {
        await this.#deliver(batch);
      } catch (error) {
        this.keep(...batch);
        return;
      }
    }
  }

  // #deliver fails only when usher is away. A refused Report was applied in no part: the events go
  // one by one then, so that a bad one does not take the others with it.
  async #deliver(batch) {
    try {
      const { results } = await unary(this.scheduler, 'Report', { events: batch }, REPORT_DEADLINE_MS);
      const lost = results.filter(({ status }) => /LEASE_UNKNOWN|TOKEN_INVALID/.test(status)).length;
      if (lost > 0) console.warn(`usher has no lease for ${lost} of ${batch.length} events`);
    } catch (error) {
      if (away(error)) throw error;
      if (batch.length > 1) for (const event of batch) await this.#deliver([event]);
      else console.warn('usher refused an event:', explain(error));
    }
  }

  // keep puts events aside for the next send. When there are too many the oldest go: their
  // leases end by lease_ttl.
  keep(...events) {
    this.kept = [...this.kept, ...events].slice(-MAX_KEPT);
  }
}
