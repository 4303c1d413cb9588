/** Somebody holds a token that is not his, or wants more of it than it is for. */
import { expect, test } from "bun:test";
import { connect } from "node:net";
import { connect as natsConnect, nkeyAuthenticator } from "@nats-io/transport-node";
import { openInvitation } from "../../../src/control/invitation_token.ts";
import type { Invited } from "../../../src/control/join_api.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { joinAnswerSubject, joinSubject, rpcSubject } from "../../../src/model/names.ts";
import { parseAddress } from "../../../src/nats/addresses.ts";
import { createSigningKey, signingKeyOf } from "../../../src/nats/keys.ts";
import { LeafClient } from "../../../src/nats/leaf_client.ts";
import type { LeafFrame } from "../../../src/nats/leaf_frames.ts";
import { post } from "../../support/invited.ts";
import { RawJoiner } from "../../support/raw_joiner.ts";
import { waitFor } from "../../support/wait_for.ts";
import { type Attacker, besiege } from "./attempt.ts";

const DEADLINE = { deadlineMs: 20_000 };
/** What is refused is told in the audit trail, in words that may be the attacker's. */
const AUDITED = [/\/leafmesh_audit\/state$/, /\/marked\/MESH\/(?:AUDIT\.|mesh\.)/];

let token = "";
const { attempt: attemptAlone, world } = besiege({}, async (made) => {
  const berlin = made.at("berlin").site;
  token = (await post<Invited>(berlin, "/v1/invitations", { site: "oslo" })).token;
});

const attempt: typeof attemptAlone = (name, attack, options) =>
  attemptAlone(name, attack, { ...options, allow: [...AUDITED, ...(options?.allow ?? [])] });

const invitation = () => openInvitation(token);
const tokenKey = () => signingKeyOf(new TextEncoder().encode(invitation().seed));

/** A connection with the token's key, and all messages that it gets. */
async function bearer(attacker: Attacker): Promise<{ leaf: LeafClient; heard: LeafFrame[] }> {
  const heard: LeafFrame[] = [];
  const { address, tls } = invitation();
  const leaf = await LeafClient.open({
    address,
    key: tokenKey(),
    ...DEADLINE,
    ...(tls === undefined ? {} : { tls }),
    onFrame: (frame) => {
      if (frame.type === "message") heard.push(frame);
    },
  });
  attacker.onEnd(() => leaf[Symbol.dispose]());
  return { leaf, heard };
}

async function joiner(attacker: Attacker): Promise<RawJoiner> {
  const one = await RawJoiner.open(token, createSigningKey());
  attacker.onEnd(() => one[Symbol.dispose]());
  return one;
}

/** The refusal in an answer. @throws when it is none */
function refusalIn(answer: unknown): string {
  const { code, error } = Object(answer) as { code?: string; error?: string };
  if (code === undefined) throw new Error(`It was taken: ${JSON.stringify(answer)}`);
  return `${code}: ${error}`;
}

async function failure(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof LeafmeshError) return `${error.code}: ${error.message}`;
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error("It succeeded");
}

for (const subject of [
  ">",
  "*.>",
  "acme.>",
  "berlin.acme.>",
  "mesh.>",
  "$SYS.>",
  "$JS.API.>",
  "_INBOX.>",
  "_R_.>",
]) {
  attempt(`the bearer of a token listens to ${subject}`, async (attacker) => {
    const { leaf, heard } = await bearer(attacker);
    leaf.subscribe(subject);
    await leaf.ping(DEADLINE).catch(() => {});
    const { mesh } = world().at("berlin").control;
    // What is stored there would be a change.
    if (!subject.startsWith("berlin.")) mesh.publish(subject.replace(/[*>]/g, "x"), "nobody's");
    await mesh.flush();
    await leaf.ping(DEADLINE).catch(() => {});
    if (heard.length > 0) throw new Error(`It heard ${JSON.stringify(heard[0])}`);
    return leaf.objection ?? "heard nothing";
  });
}

for (const subject of [
  "acme.orders.x",
  "berlin.acme.orders.x",
  "mesh.berlin.rpc.austin.sync",
  "mesh.berlin.deliver.austin.out_acme",
  "mesh.berlin.API.CONSUMER.RESET.out_acme.austin",
  "mesh.berlin.join.0000000000000000",
  "$JS.API.STREAM.PURGE.out_acme",
  "$KV.leafmesh_state.peer.oslo",
  "$SYS.REQ.SERVER.PING.CONNZ",
  "$SYS.REQ.ACCOUNT.PING.CONNZ",
]) {
  attempt(`the bearer of a token publishes to ${subject}`, async (attacker) => {
    const { leaf, heard } = await bearer(attacker);
    const { from, id } = invitation();
    leaf.subscribe(joinAnswerSubject(from, id));
    leaf.publish(subject, attacker.mark, joinAnswerSubject(from, id));
    await waitFor(() => leaf.objection !== null || leaf.failure !== null, DEADLINE);
    if (heard.length > 0) throw new Error(`It was answered: ${JSON.stringify(heard[0])}`);
    return leaf.objection ?? "cut off";
  });
}

attempt(
  "the bearer of a token has the answer sent into a stream of a tenant",
  async (attacker) => {
    const { leaf } = await bearer(attacker);
    const { from, id } = invitation();
    for (const reply of [
      "berlin.acme.orders.x",
      "acme.orders.x",
      "$JS.API.STREAM.PURGE.out_acme",
      "_INBOX.x.y",
    ])
      leaf.publish(joinSubject(from, id), attacker.mark, reply);
    await leaf.ping(DEADLINE).catch(() => {});
    return "the answer stays in the account of the invitation";
  },
  // The question itself is his right.
  { allow: [/^berlin\/marked\/MESH\/mesh\.berlin\.join\./] },
);

attempt("the bearer of a token has a trace of his message sent to a tenant", async (attacker) => {
  const { leaf } = await bearer(attacker);
  const { from, id } = invitation();
  const headers = `NATS/1.0\r\nNats-Trace-Dest: acme.orders.x\r\n\r\n`;
  const size = headers.length;
  leaf.sendRaw(`HMSG ${joinSubject(from, id)} ${size} ${size + 1}\r\n${headers}x\r\n`);
  await leaf.ping(DEADLINE).catch(() => {});
  return leaf.objection ?? "no trace is sent";
});

attempt("the bearer of a token opens a second connection", async (attacker) => {
  await bearer(attacker);
  return await failure(() => bearer(attacker));
});

attempt("the bearer of a token logs in as an app", async () => {
  const seed = new TextEncoder().encode(invitation().seed);
  const servers = world().at("berlin").site.file.server?.listen ?? "";
  return await failure(() =>
    natsConnect({ servers, authenticator: nkeyAuthenticator(seed), reconnect: false, timeout: 20_000 }),
  );
});

attempt("somebody joins without the token's key", async (attacker) => {
  const one = await joiner(attacker);
  return refusalIn(await one.ask({ proof: createSigningKey() }));
});

attempt("somebody joins with another site's name", async (attacker) => {
  const one = await joiner(attacker);
  return refusalIn(await one.ask({ from: "austin" }));
});

attempt("somebody shows one invitation and names another", async (attacker) => {
  const one = await joiner(attacker);
  return refusalIn(await one.ask({ body: { invitation: "0000000000000000" } }));
});

attempt("somebody joins with what is meant for another site", async (attacker) => {
  const one = await joiner(attacker);
  return refusalIn(await one.ask({ to: "tokyo" }));
});

attempt("somebody says that he has joined before he has", async (attacker) => {
  const one = await joiner(attacker);
  return refusalIn(await one.ask({ verb: "joined" }));
});

attempt("somebody joins with a request of last week", async (attacker) => {
  const one = await joiner(attacker);
  return refusalIn(await one.ask({ at: Date.now() - 7 * 86_400_000 }));
});

attempt("somebody joins with a CA where links have none, or with more than a join says", async (attacker) => {
  const one = await joiner(attacker);
  const { id } = one.payload;
  return refusalIn(await one.ask({ body: { invitation: id, role: "operator", dial: "nats-leaf://evil:1" } }));
});

attempt("somebody joins with a CA that no start could read", async (attacker) => {
  const one = await joiner(attacker);
  const { id } = one.payload;
  const said: string[] = [];
  for (const ca of ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    said.push(refusalIn(await one.ask({ body: { invitation: id, ca } })));
  return said.join("; ");
});

attempt("somebody joins to be dialled where no server can read it", async (attacker) => {
  const one = await joiner(attacker);
  const { id } = one.payload;
  const said: string[] = [];
  for (const dialBack of ["%zz:1", "user@host:1", "a?b:1", "[::::]:1", "a#b:1"])
    said.push(refusalIn(await one.ask({ verb: "joined", body: { invitation: id, dialBack } })));
  return said.join("; ");
});

attempt("somebody sends what is no request to join", async (attacker) => {
  const one = await joiner(attacker);
  const said: string[] = [];
  for (const bytes of ["", "{", "null", "[]", '{"sealed":1}', "\0".repeat(500)])
    said.push(
      await failure(async () => refusalIn(await one.send(bytes, 300)).length < 0).catch((e) => String(e)),
    );
  return said.join("; ");
});

attempt("somebody sends a request that is too large", async (attacker) => {
  const one = await joiner(attacker);
  one.leaf.publish(joinSubject(one.payload.from, one.payload.id), `${attacker.mark}${"x".repeat(70_000)}`);
  await waitFor(() => one.leaf.failure !== null || one.leaf.objection !== null, DEADLINE);
  return one.leaf.objection ?? "cut off";
});

attempt("somebody floods the inviting site with requests to join", async (attacker) => {
  const one = await joiner(attacker);
  const subject = joinSubject(one.payload.from, one.payload.id);
  const reply = joinAnswerSubject(one.payload.from, one.payload.id);
  const bad = one.seal({ proof: createSigningKey() });
  for (let i = 0; i < 2000; i++) one.leaf.publish(subject, bad, reply);
  await one.leaf.ping({ deadlineMs: 50_000 }).catch(() => {});
  const { site } = world().at("berlin");
  const answer = await site.api("GET", "/v1/site");
  if (!answer.ok) throw new Error("The sidecar does not answer any more");
  return "few are looked at, one a second is answered";
});

attempt("somebody speaks garbage at the leaf port", async (attacker) => {
  const { host, port } = parseAddress(invitation().address);
  const closed: Promise<void>[] = [];
  for (const bytes of [
    "GET / HTTP/1.1\r\n\r\n",
    "CONNECT {\r\n",
    "LMSG a 99999999999\r\n",
    "\0".repeat(100_000),
  ]) {
    const socket = connect({ host, port });
    attacker.onEnd(() => void socket.destroy());
    socket.on("error", () => {}).resume();
    closed.push(new Promise((resolve) => socket.once("close", () => resolve())));
    socket.write(bytes);
  }
  await Promise.all(closed);
  return "closed";
});

attempt("somebody holds the leaf port with connections that say nothing", async (attacker) => {
  const { host, port } = parseAddress(invitation().address);
  const closed = Array.from({ length: 50 }, () => {
    const socket = connect({ host, port });
    attacker.onEnd(() => void socket.destroy());
    socket.on("error", () => {}).resume();
    socket.write("CONN");
    return new Promise<void>((resolve) => socket.once("close", () => resolve()));
  });
  // Somebody who has something to say is heard meanwhile.
  (await bearer(attacker)).leaf[Symbol.dispose]();
  await Promise.all(closed);
  return "the server closes what does not log in";
});

attempt(
  "an operator invites a site that is a peer, or this one, or for ever",
  async (_attacker, { mesh }) => {
    const codes: string[] = [];
    for (const body of [{ site: "austin" }, { site: "berlin" }, { site: "oslo", expires: "25h" }]) {
      const response = await mesh.site("berlin").api("POST", "/v1/invitations", body);
      if (response.ok) throw new Error(`It was made: ${JSON.stringify(body)}`);
      codes.push(((await response.json()) as { code: string }).code);
    }
    return codes.join();
  },
);

attempt("a token is used at another site, at its own, altered, or cut", async (_attacker, { mesh }) => {
  const at = token.length >> 1;
  const altered = `${token.slice(0, at)}${token[at] === "A" ? "B" : "A"}${token.slice(at + 1)}`;
  const codes: string[] = [];
  for (const [site, text] of [
    ["tokyo", token],
    ["berlin", token],
    ["tokyo", altered],
    ["tokyo", token.slice(0, -20)],
  ] as const) {
    const response = await mesh.site(site).api("POST", "/v1/joins", { token: text });
    const said = await response.text();
    if (response.ok) throw new Error(`It was taken at ${site}`);
    if (said.includes(text.slice(10, 60))) throw new Error("The answer repeats the token");
    codes.push(said);
  }
  return codes.join();
});

attempt("somebody on the way repeats a request of a peer", async () => {
  const { control } = world().at("berlin");
  const heard: Uint8Array[] = [];
  const subject = rpcSubject("berlin", "tokyo", "sync");
  const subscription = control.mesh.subscribe(subject, {
    callback: (_error, message) => void heard.push(message.data),
  });
  await waitFor(() => heard.length > 0, { deadlineMs: 20_000, what: "a request of tokyo" });
  subscription.unsubscribe();
  const answer = await control.mesh.request(subject, heard[0], { timeout: 20_000 });
  const said = answer.string();
  if (!said.includes("was answered already")) throw new Error(`It was answered: ${said.slice(0, 200)}`);
  const other = rpcSubject("berlin", "tokyo", "poke");
  const asOther =
    (await control.mesh.request(other, heard[0], { timeout: 3000 }).catch(() => null))?.string() ?? "";
  if (asOther.includes("offers")) throw new Error("It was taken as another question");
  return said;
});

test("what was refused to those who showed the invitation stands in the audit trail", async () => {
  const { id } = invitation();
  interface Denial {
    readonly operation: string;
    readonly target: string;
    readonly from: string | null;
    readonly result?: string;
    readonly count?: number;
  }
  const { items } = await world()
    .mesh.site("berlin")
    .json<{ items: Denial[] }>("/v1/audit?type=denial&limit=1000");
  const joins = items.filter(({ operation }) => operation === "join");
  expect(joins.length).toBeGreaterThan(0);
  for (const { from, target, count = 1 } of joins) {
    // Those of a minute after the first are told as one.
    expect([from, target]).toEqual([`invitation ${id}`, count === 1 ? "peer oslo" : "*"]);
  }
  expect(joins.map(({ result }) => result).join("\n")).toContain("does not hold the invitation");
});
