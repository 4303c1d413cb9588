/** The connection of a site that shows an invitation, against a real nats-server that ends it in the middle of a question. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { InvitationPayload } from "../../src/control/invitation_token.ts";
import { JoinClient } from "../../src/control/join_client.ts";
import { LeafmeshError } from "../../src/model/errors.ts";
import { joinAccount, joinSubject } from "../../src/model/names.ts";
import { createSigningKey, type SigningKey } from "../../src/nats/keys.ts";
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
    seed: `SU${"A".repeat(56)}`,
    expires: Date.now() + 60_000,
  };
  await site.reload({ ...site.desired, invitations: [{ id, key: token.publicKey }] });
});

/** Hears the questions, and answers those that it is told to. */
function desk(answer: (question: string) => boolean) {
  const heard: string[] = [];
  const subscription = site.mesh.subscribe(joinSubject("berlin", payload.id), {
    callback: (_error, message) => {
      heard.push(message.string());
      if (answer(message.string())) message.respond(`heard ${message.string()}`);
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

test("a question whose connection ends with the invitation is told that the invitation is used", async () => {
  using silent = desk(() => false);
  using client = await JoinClient.open(payload, token);
  const asked = told(client.ask(() => "first", { again: true }));
  await waitFor(async () => silent.heard.length > 0, { deadlineMs: 20_000 });
  await over();
  expect(await asked).toBe("invitation_used");
}, 60_000);

test("a question is asked again over another connection where the first one is cut", async () => {
  let number = 0;
  using answering = desk((question) => question !== "1");
  using client = await JoinClient.open(payload, token);
  const asked = told(client.ask(() => String(++number), { again: true }));
  await waitFor(async () => answering.heard.length > 0, { deadlineMs: 20_000 });
  await cut();
  expect(await asked).toBe(`heard ${number}`);
  expect(number).toBeGreaterThan(1);
}, 60_000);

test("a question that is not to be asked again fails where its connection is cut", async () => {
  let number = 0;
  using silent = desk(() => false);
  using client = await JoinClient.open(payload, token);
  const asked = told(client.ask(() => String(++number), { again: false }));
  await waitFor(async () => silent.heard.length > 0, { deadlineMs: 20_000 });
  await cut();
  expect(["peer_unreachable", "login_refused"]).toContain(await asked);
  // Nothing was asked over another connection.
  expect(silent.heard).toEqual(["1"]);
}, 60_000);
