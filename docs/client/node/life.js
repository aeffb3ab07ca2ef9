// The life of a request against a real usher, which docs/client/run.sh starts; it names its address.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway, Unserved } from './gateway.js';
import { Stream } from './stream.js';
import { connect, explain, unary } from './usher.js';

const started = Date.now();
let count = 0;
const unique = (what) => `${what}-${started}-${++count}`;
const { scheduler, metrics } = connect(process.env.USHER_ADDRESS);
after(() => scheduler.close());

// For a busy machine: an example's own deadlines are for one that is not.
const patienceMs = 60_000;
const ready = () => new Promise((resolve, reject) => scheduler.waitForReady(Date.now() + patienceMs, (e) => (e ? reject(e) : resolve())));
await ready();

const patient = Object.create(scheduler);
for (const method of ['Select', 'Report']) {
  patient[method] = (request, options, done) => scheduler[method](request, { ...options, deadline: Date.now() + patienceMs }, done);
}

const gateway = () => new Gateway(patient, 'example-node', `${started}`, ['static-1', 'static-2']);
const select = (request) => unary(scheduler, 'Select', request, patienceMs);
const tell = async (event) => (await unary(scheduler, 'Report', { events: [event] }, patienceMs)).results[0];
const snapshot = async () => (await unary(metrics, 'GetMetrics', {}, patienceMs)).snapshot;
const finished = (lease_token, outcome = 'OUTCOME_SUCCESS') => ({ lease_token, finished: { outcome } });
const unused = (lease_token) => ({ lease_token, released_unused: {} });
const dryRun = (request) => select({ ...request, dry_run: true });
const noLeak = async () => assert.equal((await snapshot()).leases_live, 0, 'all leases have ended');

// upstream answers with a response id; the first so many calls fail. It notes where it was called.
function upstream(responseId, failures = 0) {
  const call = async (account, model, firstToken) => {
    call.accounts.push(account);
    if (failures-- > 0) throw new Error('502');
    firstToken(responseId);
  };
  call.accounts = [];
  return call;
}

test('a request, and the next turn of its conversation', async () => {
  const [g, response, session] = [gateway(), unique('resp'), unique('chat')];
  const account = await g.handle({ id: unique('req'), session }, upstream(response));
  assert.equal(await g.handle({ id: unique('req'), previousResponse: response }, upstream()), account);
  assert.equal(await g.handle({ id: unique('req'), session }, upstream()), account);
  const { decision } = await dryRun({ previous_response_id: response });
  assert.equal(decision.layer, 'LAYER_PREVIOUS_RESPONSE_ID');
});

test('a retry goes elsewhere and tells of the failed attempt', async () => {
  const [g, call, results] = [gateway(), upstream('', 1), []];
  const ask = g.select;
  g.select = async (...a) => {
    const answer = await ask.apply(g, a);
    results.push(...answer.report_results);
    return answer;
  };
  // The session would bring it back to the account that failed.
  const served = await g.handle({ id: unique('req'), session: unique('chat') }, call);
  assert.equal(call.accounts.length, 2);
  assert.notEqual(call.accounts[0], served);
  assert.deepEqual(results.map((r) => [r.status, r.account_id]), [
    ['REPORT_STATUS_APPLIED', call.accounts[0]], // switched
    ['REPORT_STATUS_APPLIED', call.accounts[0]], // finished
  ]);
});

test("the caller's own fault is not tried again", async () => {
  let calls = 0;
  const call = () => { calls++; throw Object.assign(new Error('400'), { outcome: 'OUTCOME_CLIENT_ERROR' }); };
  await assert.rejects(gateway().handle({ id: unique('req') }, call), /400/);
  assert.equal(calls, 1);
});

test('a lost answer is asked for again and finds the same lease', async () => {
  const leases = [];
  const lossy = Object.create(patient); // drops the first answer that comes
  lossy.Select = (request, options, done) => patient.Select(request, options, (error, answer) => {
    leases.push(answer?.selection.lease_token);
    if (leases.length === 1) done(Object.assign(new Error('the connection broke'), { code: 14 }));
    else done(error, answer);
  });
  await new Gateway(lossy, 'example-node', `${started}`, []).handle({ id: unique('req') }, upstream());
  assert.equal(leases.length, 2);
  assert.equal(leases[0], leases[1]);
});

test('a caller that leaves gives the slot back unused', async () => {
  const [g, call, leave] = [gateway(), upstream(), new AbortController()];
  const ask = g.select;
  let lease;
  g.select = async (...a) => {
    const answer = await ask.apply(g, a);
    lease = answer.selection.lease_token;
    leave.abort();
    return answer;
  };
  await assert.rejects(g.handle({ id: unique('req') }, call, leave.signal), { name: 'AbortError' });
  assert.equal(call.accounts.length, 0);
  assert.equal((await tell(unused(lease))).status, 'REPORT_STATUS_ALREADY_RELEASED');
});

test('a full account gives a wait plan; patience is served', async () => {
  const unlimited = (await snapshot()).accounts.filter((a) => a.max_concurrency <= 0).map((a) => a.account_id);
  const [g, response, held] = [gateway(), unique('resp'), []];
  held.push((await select({ excluded_account_ids: unlimited })).selection);
  await tell({ lease_token: held[0].lease_token, first_token: { response_id: response } });
  let answer;
  while ((answer = await select({ previous_response_id: response })).selection) held.push(answer.selection);
  assert.equal(answer.wait_plan.account_id, held[0].account_id);
  const request = { id: unique('req'), previousResponse: response };
  await assert.rejects(g.handle(request, upstream()), Unserved);
  const ask = g.select;
  g.select = async (...a) => {
    const got = await ask.apply(g, a);
    if (got.wait_plan) await tell(finished(held[0].lease_token)); // the second try finds room
    return got;
  };
  assert.equal(await g.handle({ ...request, patienceMs }, upstream()), held[0].account_id);
  for (const s of held.slice(1)) await tell(unused(s.lease_token));
});

test('refusals are answers', async () => {
  assert.equal((await dryRun({ group: 'no-such-group' })).refusal.reason, 'REFUSAL_REASON_NO_ACCOUNTS');
  const all = (await snapshot()).accounts.map((a) => a.account_id);
  const { refusal } = await dryRun({ excluded_account_ids: all });
  assert.equal(refusal.reason, 'REFUSAL_REASON_NONE_ELIGIBLE');
  assert.equal(refusal.exclusions.reduce((n, e) => n + e.accounts, 0), all.length);
});

test('errors name what is wrong', async () => {
  const bad = await select({ session_hash: 'x'.repeat(513), alternates: 17 }).catch(explain);
  assert.equal(bad.code, 'INVALID_ARGUMENT');
  assert.deepEqual(Object.keys(bad.fields).sort(), ['alternates', 'session_hash']);

  const request = { request_id: unique('req'), owner: { name: 'example-node', incarnation: `${started}` } };
  const ref = { owner_name: 'example-node', request_id: request.request_id };
  assert.equal((await tell({ request: ref, released_unused: {} })).status, 'REPORT_STATUS_RELEASE_RECORDED');
  const released = await select(request).catch(explain);
  assert.deepEqual([released.code, released.reason], ['FAILED_PRECONDITION', 'REQUEST_RELEASED']);
});

test('events over a stream: acks, and a nack that does not end it', async (t) => {
  const [response, refused] = [unique('resp'), []];
  const stream = new Stream(scheduler, gateway().owner, gateway().held, (x) => refused.push(x));
  t.after(() => stream.stop());
  const { lease_token: lease, account_id: account } = (await select({})).selection;
  stream.send({ lease_token: lease, first_token: { time_to_first_token: { nanos: 80e6 }, response_id: response } });
  stream.send(finished(lease, 'OUTCOME_UNSPECIFIED'));
  stream.send(finished(lease));
  await stream.flush();
  assert.deepEqual(refused.map((x) => x.nack.reason), ['NACK_REASON_INVALID_ARGUMENT']);
  assert.equal((await dryRun({ previous_response_id: response })).selection.account_id, account);
  assert.equal((await tell(unused(lease))).status, 'REPORT_STATUS_ALREADY_RELEASED');
});

test('heartbeats: a forgotten lease ends, a new start replaces the old', async (t) => {
  const name = unique('example-node');
  const start = async (incarnation) => {
    const g = new Gateway(patient, name, incarnation, []);
    const stream = new Stream(scheduler, g.owner, g.held);
    t.after(() => stream.stop());
    const { lease_token: lease } = (await select({ owner: g.owner })).selection;
    g.held.add(lease);
    return { g, lease };
  };
  const until = async (done) => {
    for (const end = Date.now() + patienceMs; !(await done()); await sleep(20)) assert.ok(Date.now() < end, 'it never happens');
  };
  const renewed = async (lease) => (await unary(scheduler, 'Renew', { lease_tokens: [lease] }, patienceMs)).results[0].status;
  const old = await start('1');
  const forgotten = (await select({ owner: old.g.owner })).selection.lease_token;
  await until(async () => (await renewed(forgotten)) === 'REPORT_STATUS_LEASE_EXPIRED');
  assert.ok(old.g.held.has(old.lease));
  const next = await start('2');
  await until(() => !old.g.held.has(old.lease)); // the old one is told
  assert.equal(await renewed(old.lease), 'REPORT_STATUS_LEASE_EXPIRED');
  assert.equal((await tell(unused(next.lease))).status, 'REPORT_STATUS_APPLIED');
});

test('usher goes away in the middle of a request and comes back', async (t) => {
  await noLeak();
  const usherctl = (what) => execFileSync(process.env.USHER_CTL, [what], { stdio: 'inherit' });
  const g = gateway();
  const stream = new Stream(scheduler, g.owner, g.held, () => {});
  t.after(() => stream.stop());
  const spare = [];
  const ask = g.select;
  g.select = async (...a) => {
    const answer = await ask.apply(g, a);
    spare.push(...answer.selection.alternates.map((s) => s.account_id));
    return answer;
  };
  await g.handle({ id: unique('req') }, async (account, model, firstToken) => {
    usherctl('kill');
    firstToken(unique('resp'));
  });
  assert.ok(g.reports.kept.length >= 2, 'what could not be delivered is kept');
  stream.send(g.reports.kept[0]);
  // Requests go on: on the alternates of the last answer first, then on the local choice.
  assert.equal(await g.handle({ id: unique('req') }, upstream()), spare[0]);
  const call = async (account) => { if (!account.startsWith('static')) throw new Error('503'); };
  g.alternates.set(undefined, g.alternates.get(undefined).slice(0, 1));
  assert.equal(await g.handle({ id: unique('req') }, call), 'static-1');
  // It is back: the same channel finds it, and what was kept is delivered.
  usherctl('start');
  await ready();
  const served = await g.handle({ id: unique('req') }, upstream());
  assert.ok((await snapshot()).accounts.some((a) => a.account_id === served));
  assert.equal(g.reports.kept.length, 0);
  await stream.flush();
  await noLeak();
});
