/** The connection of a site that shows an invitation, against a real nats-server that ends it in the middle of a question. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { StateStore } from "../../src/control/api.ts";
import { type InvitationPayload, sealInvitation } from "../../src/control/invitation_token.ts";
import { type JoinHost, joinSite } from "../../src/control/join.ts";
import { JoinClient } from "../../src/control/join_client.ts";
import { LeafmeshError } from "../../src/model/errors.ts";
import { joinAccount, joinSubject } from "../../src/model/names.ts";
import { createSigningKey, type SigningKey } from "../../src/nats/keys.ts";
import { LeafClient } from "../../src/nats/leaf_client.ts";
import { startSite, type TestSite } from "../support/sites.ts";
import { waitFor } from "../support/wait_for.ts";

let started: Awaited<ReturnType<typeof startSite>>;
let site: TestSite;
let token: SigningKey;
let payload: InvitationPayload;

beforeAll(async () => {
  started = await startSite("berlin", [], "plain");
  site = started.site;
}, 60_000);
afterAll(async () => {
  await started[Symbol.asyncDispose]();
});
beforeEach(async () => {
  token = createSigningKey();
  const id = "0123456789abcdef";
  payload = {
    version: 1,
    id,
    from: "berlin",
    to: "austin",
    address: site.addresses.leaf,
    key: site.keys.site.publicKey,
    seed: new TextDecoder().decode(token.seed()),
    expires: Date.now() + 60_000,
  };
  await site.reload({ ...site.desired, invitations: [{ id, key: token.publicKey }] });
});

/** Hears the questions, and answers those that it is told to. */
function desk(answers: () => boolean) {
  const heard: string[] = [];
  const subscription = site.mesh.subscribe(joinSubject("berlin", payload.id), {
    callback: (_error, message) => {
      heard.push(message.string());
      if (answers()) message.respond(`heard ${message.string()}`);
    },
  });
  return { heard, [Symbol.dispose]: () => subscription.unsubscribe() };
}

const cut = () => site.control.system.kickAccount(joinAccount(payload.id));
/** What a sidecar does with an invitation that is used. */
async function over(): Promise<void> {
  await site.reload({ ...site.desired, invitations: [] });
  await cut();
}
/** What a work fails with, or its result. */
const told = (work: Promise<Uint8Array>) =>
  work.then(
    (bytes) => new TextDecoder().decode(bytes),
    (error: unknown) => (error instanceof LeafmeshError ? error.code : String(error)),
  );

const options = () => ({ payload, key: token });

/** Asks, and waits until the question was heard: nobody answers before `answer()`. */
async function asking(
  question: () => string,
  more: { readonly again?: boolean; readonly signal?: AbortSignal } = {},
) {
  const { again = true, signal } = more;
  let answers = false;
  const hearing = desk(() => answers);
  const client = await JoinClient.open({ ...options(), ...(signal === undefined ? {} : { signal }) });
  const asked = client.ask(question, { again });
  asked.catch(() => {});
  await waitFor(async () => hearing.heard.length > 0, { deadlineMs: 20_000 });
  return {
    asked,
    client,
    answer: () => {
      answers = true;
    },
    [Symbol.dispose]: () => {
      client[Symbol.dispose]();
      hearing[Symbol.dispose]();
    },
  };
}

test("a question whose connection ends with the invitation is told that the invitation is used", async () => {
  using one = await asking(() => "first");
  await over();
  expect(await told(one.asked)).toBe("invitation_used");
}, 60_000);

test("a question is asked again over another connection where the first one is cut", async () => {
  let number = 0;
  using one = await asking(() => String(++number));
  expect(await cut()).toBe(1);
  one.answer();
  expect(await told(one.asked)).toMatch(/^heard \d+$/);
}, 60_000);

test("a question that is cut waits for a connection of before that the server still has", async () => {
  using one = await asking(() => "mine");
  // Whoever logs in first after the cut has the place.
  const { promise, resolve } = Promise.withResolvers<LeafClient>();
  void (async () => {
    for (;;) {
      await cut();
      const login = { address: site.addresses.leaf, key: token, deadlineMs: 20_000 };
      const other = await LeafClient.open(login).catch(() => null);
      if (other !== null) return resolve(other);
    }
  })();
  const other = await promise;
  one.answer();
  const before = performance.now();
  expect(await told(JoinClient.open(options()).then(() => new Uint8Array()))).toBe("invitation_used");
  expect(performance.now() - before).toBeGreaterThan(5_000);
  other[Symbol.dispose]();
  expect(await told(one.asked)).toBe("heard mine");
}, 60_000);

test("a question goes on when the server that has cut it knows its invitation again", async () => {
  using one = await asking(() => "mine");
  const before = site.desired;
  // As a server does that has just started.
  await over();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  one.answer();
  await site.reload(before);
  expect(await told(one.asked)).toBe("heard mine");
}, 60_000);

test("a question that is not to be asked again fails where its connection is cut", async () => {
  using one = await asking(() => "once", { again: false });
  expect(await cut()).toBe(1);
  one.answer();
  expect(await told(one.asked)).toBe("peer_unreachable");
}, 60_000);

test("a question ends with its client, and with its signal", async () => {
  {
    using one = await asking(() => "first");
    one.client[Symbol.dispose]();
    one.answer();
    expect(await told(one.asked)).toBe("peer_unreachable");
  }
  const stop = new AbortController();
  using other = await asking(() => "second", { signal: stop.signal });
  // Not taken for silence of the other end.
  const reason = new LeafmeshError("peer_unreachable", "the signal");
  stop.abort(reason);
  other.answer();
  expect(await other.asked.catch((error: unknown) => error)).toBe(reason);
}, 60_000);

/** The site austin, with or without berlin as a peer that is verified at the third look. */
function austin(known: boolean): JoinHost {
  let looks = 0;
  const document = { value: { name: "berlin", key: payload.key }, revision: 1, changedAt: "" };
  const state: Partial<StateStore> = {
    get: (ref) => (known && ref.type === "peer" ? (document as never) : null),
    check: () => {},
  };
  return {
    site: "austin",
    key: createSigningKey(),
    state: state as StateStore,
    trust: { address: null, tls: null },
    configure: async () => {},
    verified: () => ++looks > 2,
    fingerprint: () => "",
    now: () => Date.now(),
    log: () => {},
  };
}

test("a join that an earlier try has finished is done when the link is up", async () => {
  await over();
  const request = { token: sealInvitation(payload, site.keys.site) };
  expect(await joinSite(austin(true), request)).toMatchObject({ known: true, linked: true });
  await expect(joinSite(austin(false), request)).rejects.toMatchObject({ code: "invitation_used" });
}, 60_000);
