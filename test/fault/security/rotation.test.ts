/**
 * Rotations that nobody has the right to. Tokyo has rotated its key once, and has announced the next one: it, or who has stolen
 * one of its keys, tries to have berlin trust what it must not. What berlin trusts, and so its configuration, must stay as it is.
 */
import { randomBytes } from "node:crypto";
import { sealMessage } from "../../../src/control/envelope.ts";
import { signRotation } from "../../../src/control/rotation/statement.ts";
import { rpcSubject } from "../../../src/model/names.ts";
import type { RotationStatement } from "../../../src/model/rotation.ts";
import { createSigningKey, type SigningKey, type SiteKeys } from "../../../src/nats/keys.ts";
import { createCa } from "../../../src/nats/pki/certificates.ts";
import { RawLeaf } from "../../support/raw_leaf.ts";
import { waitFor } from "../../support/wait_for.ts";
import { Attacker, besiege } from "./attempt.ts";
import { PEER, Rogue, SITE } from "./rogue.ts";
import type { World } from "./world.ts";

/** Tokyo's keys: of before, of now, and the one that it has announced. */
let before: SigningKey;
const [now, next, other] = [createSigningKey(), createSigningKey(), createSigningKey()];
let keys: SiteKeys;
/** What tokyo has said in its first rotation, as it has crossed the link. */
let heard: string;

type Subject = RotationStatement["subject"];
const toKey = (from: SigningKey, to: SigningKey): Subject => ({
  what: "key",
  from: from.publicKey,
  next: to.publicKey,
});

function statement(subject: Subject, more: Partial<RotationStatement> = {}): RotationStatement {
  return { version: 1, site: PEER, to: SITE, epoch: 300, step: "announce", subject, ...more };
}

const { attempt } = besiege({}, async (world) => {
  const { keys: old } = await world.abandon(PEER);
  before = old.site;
  const attacker = new Attacker(world, "MARKED-setup-");
  try {
    const rogue = await Rogue.link(attacker, { keys: old });
    const announce = signRotation(statement(toKey(before, now), { epoch: 100 }), [before, now]);
    const body = { version: 1 as const, from: PEER, to: SITE, nonce: randomBytes(16).toString("hex") };
    heard = sealMessage({ ...body, at: Date.now(), verb: "rotate", body: announce }, before);
    confirmed(await rogue.ask("rotate", announce, { sealed: heard }));
    const retire = signRotation(statement(toKey(before, now), { epoch: 100, step: "retire" }), [now]);
    await rogue.ask("rotate", retire, { key: now });
    await waitFor(async () => (await trusted(world)).key === now.publicKey, { what: "the new key" });
    await waitFor(() => rogue.leaf.closed, { what: "the link to be cut", deadlineMs: 20_000 });
    keys = { ...old, site: now };
    const again = await Rogue.link(attacker, { keys });
    const second = signRotation(statement(toKey(now, next), { epoch: 200 }), [now, next]);
    confirmed(await again.ask("rotate", second));
  } finally {
    await attacker.end();
  }
});

function confirmed(answer: string): void {
  if (!answer.includes("confirmed")) throw new Error(`It was not taken: ${answer}`);
}

async function trusted(world: World): Promise<{ key: string; nextKey?: string; ca?: string }> {
  return await world.at(SITE).site.json("/v1/peers/tokyo");
}

/** What berlin answers to a body. @throws when it has taken it, or trusts something else than before */
async function refusal(a: Attacker, body: unknown, forge: Parameters<Rogue["ask"]>[2] = {}): Promise<string> {
  const rogue = await Rogue.link(a, { keys });
  const answer = await rogue.ask("rotate", body, forge);
  rogue.end();
  if (answer.includes("confirmed")) throw new Error(`It was taken: ${answer.slice(0, 300)}`);
  const peer = await trusted(a.world);
  if (peer.key !== now.publicKey || peer.nextKey !== next.publicKey || peer.ca !== undefined)
    throw new Error(`Berlin trusts ${JSON.stringify(peer)}`);
  const inner = /"error\\":\\"(.*?)\\"/.exec(answer)?.[1] ?? /error[^:]*:(.{0,160})/.exec(answer)?.[1];
  return inner ?? (answer === "" ? "silence" : answer.slice(0, 160));
}

/** Says all of it at once: refusals of one kind are answered once a second. @returns the last answer */
async function refusals(a: Attacker, bodies: readonly unknown[]): Promise<string> {
  const rogue = await Rogue.link(a, { keys });
  for (const body of bodies) {
    const message = { version: 1 as const, from: PEER, to: SITE, nonce: randomBytes(16).toString("hex") };
    const sealed = sealMessage({ ...message, at: Date.now(), verb: "rotate", body }, now);
    rogue.leaf.publish(rpcSubject(SITE, PEER, "rotate"), sealed, "_R_.rogue.many");
  }
  await rogue.leaf.ping();
  await waitFor(() => rogue.received("_R_.rogue.many").length > 0, { what: "an answer" });
  const answers = rogue.heard;
  rogue.end();
  if (answers.includes("confirmed")) throw new Error(`It was taken: ${answers.slice(0, 600)}`);
  return await refusal(a, bodies.at(-1));
}

/** Whoever signs with a key that is not trusted is heard as somebody else: all routes are held. */
const HOLDS = [
  /^berlin\/MESH\/in_acme\/config$/,
  /^berlin\/MESH\/out_acme\/consumer\/tokyo\/(config|position)$/,
  /^berlin\/MESH\/KV_leafmesh_state\/state$/,
];

attempt("rotation: announces a key without a signature of that key", (a) =>
  refusal(a, signRotation(statement(toKey(next, other)), [next, now])),
);

attempt("rotation: announces the key of another site as its own next one", async (a) => {
  const { key } = await a.world.at(SITE).site.json<{ key: string }>("/v1/peers/austin");
  const subject: Subject = { what: "key", from: next.publicKey, next: key };
  const signed = signRotation(statement(subject), [next, other]);
  const forged = signed.signatures.map((one, i) => (i === 1 ? { ...one, key } : one));
  return await refusal(a, { ...signed, signatures: forged });
});

attempt("rotation: announces a key in the name of another site", (a) =>
  refusal(a, signRotation(statement(toKey(now, other), { site: "austin" }), [now, other])),
);

attempt("rotation: plays an announcement that was for another site", (a) =>
  refusal(a, signRotation(statement(toKey(now, other), { to: "austin" }), [now, other])),
);

attempt("rotation: signs with a key that nobody trusts", (a) =>
  refusal(a, signRotation(statement(toKey(other, createSigningKey())), [other])),
);

attempt("rotation: has the retired key announce a key of the thief's", (a) =>
  refusal(a, signRotation(statement(toKey(before, other)), [before, other])),
);

attempt("rotation: says that the retired key is the one to replace", (a) =>
  refusal(a, signRotation(statement(toKey(before, other)), [now, other])),
);

attempt("rotation: plays the first announcement again in a new message, to go back", async (a) => {
  const old = signRotation(statement(toKey(before, now), { epoch: 100 }), [before, now]);
  return await refusal(a, old);
});

attempt("rotation: goes back to the retired key in an epoch of before", (a) =>
  refusal(a, signRotation(statement(toKey(now, before), { epoch: 150 }), [now, before])),
);

attempt("rotation: announces another next key in the epoch of the one that is open", (a) =>
  refusal(a, signRotation(statement(toKey(now, other), { epoch: 200 }), [now, other])),
);

attempt("rotation: replaces the next key that is announced by another one", (a) =>
  refusal(a, signRotation(statement(toKey(now, other)), [now, other])),
);

attempt("rotation: has the key of now retired for one that was not announced", (a) =>
  refusal(a, signRotation(statement(toKey(now, other), { step: "retire" }), [now, other])),
);

attempt("rotation: announces CAs where none of it is trusted, and what is no CA", async (a) => {
  const validity = { now: new Date(), ttlMs: 3_600_000 };
  const { certPem, keyPem } = await createCa("tokyo", validity);
  const texts = [certPem, certPem + certPem + certPem, keyPem, "", "-----BEGIN CERTIFICATE-----"];
  const bodies = texts.flatMap((text) => {
    const subject: Subject = { what: "ca", from: "0".repeat(64), next: text };
    const steps = ["announce", "retire"] as const;
    return steps.map((step) => signRotation(statement(subject, { step }), [now]));
  });
  return await refusals(a, bodies);
});

attempt("rotation: says what is no statement", async (a) => {
  const good = signRotation(statement(toKey(now, other)), [now, other]);
  return await refusals(a, [
    null,
    [],
    "x",
    {},
    { ...good, more: 1 },
    { ...good, signatures: [] },
    { ...good, signatures: [...good.signatures, ...good.signatures] },
    { ...good, statement: "{" },
    { ...good, statement: good.statement.replace('"epoch":300', '"epoch":-1') },
    { ...good, statement: good.statement.replace('"epoch":300', '"epoch":1e999') },
    { ...good, statement: good.statement.replace('"step":"announce"', '"step":"__proto__"') },
    { ...good, statement: `${good.statement}${" ".repeat(100_000)}` },
    signRotation(statement(toKey(now, other), { version: 2 as 1 }), [now, other]),
  ]);
});

attempt("tenant app: tells the sidecar of a peer's rotation", async (a) => {
  const nc = await a.app(SITE, "acme");
  const body = signRotation(statement(toKey(now, other)), [now, other]);
  const message = { version: 1 as const, from: PEER, to: SITE, nonce: randomBytes(16).toString("hex") };
  const sealed = sealMessage({ ...message, at: Date.now(), verb: "rotate", body }, now);
  const said = await a.unanswered(nc, rpcSubject(SITE, PEER, "rotate"), sealed);
  if ((await trusted(a.world)).nextKey !== next.publicKey) throw new Error("It was taken");
  return said;
});

attempt("api: rotates without a token, or with one that is none", async (a) => {
  const { listen } = a.world.at(SITE).site.file.api ?? {};
  const said: string[] = [];
  for (const authorization of ["", "Bearer nobody"]) {
    for (const path of ["/v1/rotations", "/v1/rotations/key/finish"]) {
      const headers = {
        "content-type": "application/json",
        ...(authorization === "" ? {} : { authorization }),
      };
      const init = { method: "POST", headers, body: '{"what":"key"}' };
      const response = await fetch(`http://${listen}${path}`, init);
      if (response.status !== 401) throw new Error(`${path}: ${response.status}`);
      said.push(((await response.json()) as { code: string }).code);
    }
  }
  return said.join();
});

// From here on the site hears what is not signed as it should be, and holds all routes with the peer.
attempt(
  "rotation: seals an announcement with the retired key",
  (a) => refusal(a, signRotation(statement(toKey(now, other)), [now, other]), { key: before }),
  { allow: HOLDS },
);

attempt(
  "rotation: plays the whole message of the first rotation again",
  (a) => refusal(a, {}, { sealed: heard }),
  {
    allow: HOLDS,
  },
);

attempt(
  "rotation: announces a key after it was revoked",
  async (a, w) => {
    const rogue = await Rogue.link(a, { keys });
    const revoked = await w.at(SITE).site.api("POST", "/v1/peers/tokyo/revoke");
    if (!revoked.ok) throw new Error(await revoked.text());
    await waitFor(() => rogue.leaf.closed, { what: "the link to be cut", deadlineMs: 20_000 });
    const said: string[] = [];
    for (const key of [now, next, before]) {
      const address = w.at(SITE).site.file.server?.leaf ?? "";
      using leaf = await RawLeaf.open({ address, key });
      if (!leaf.closed) throw new Error("A revoked key has a link");
      said.push(leaf.lines.find((line) => line.startsWith("-ERR")) ?? "closed");
    }
    const peer = await trusted(w);
    if (peer.key !== now.publicKey || peer.nextKey !== next.publicKey) throw new Error(JSON.stringify(peer));
    return said.join("; ").slice(0, 300);
  },
  {
    allow: [...HOLDS, /^berlin\/(nats\.conf|accounts|leafs\/LINK_tokyo)$/, /^berlin\/MESH\/out_acme\//],
    deadlineMs: 120_000,
  },
);
