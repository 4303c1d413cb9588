/** Who would like another history: an app, a peer with its own key and with others', admins of other tenants. */
import { randomBytes } from "node:crypto";
import { type Message, sealMessage } from "../../../src/control/envelope.ts";
import { createSigningKey, type SigningKey } from "../../../src/nats/keys.ts";
import { type Attacker, besiege } from "./attempt.ts";
import type { World } from "./world.ts";

const tokens = { viewer: "", auditor: "", globex: "" };
const { attempt } = besiege({}, async (world) => {
  const make = async (name: string, body: object) => {
    const response = await world
      .at("berlin")
      .site.api("POST", "/v1/tokens", { name, expires: "1h", ...body });
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
    const { token } = (await response.json()) as { token: string };
    // The first use of a token is noted.
    await world.at("berlin").site.api("GET", "/v1/whoami", undefined, { authorization: `Bearer ${token}` });
    return token;
  };
  tokens.viewer = await make("watcher", { role: "viewer" });
  tokens.auditor = await make("checker", { role: "auditor" });
  tokens.globex = await make("globex-admin", { role: "tenant-admin", tenant: "globex" });
});

/** What is refused is told: the trail may grow, and with it nothing else. */
const TOLD = [/\/MESH\/leafmesh_audit\//, /\/marked\/MESH\/(?:AUDIT\.|mesh\.)/];
/** A message with a wrong signature makes the site hold the peer's routes until it proves its key again. */
const HELD = [
  ...TOLD,
  /\/consumer\/(?:tokyo|berlin)\//,
  // What is held is silent, and attached again.
  /^(?:berlin|tokyo)\/MESH\/in_acme\/config$/,
];
/** An app hears in its own account what it sends there itself. */
const heard = { allow: [/^berlin\/inbox\/acme$/] };
const EVENT = { stream: "out_acme", by: "sequence", sequence: 1, ids: [] };

async function app(attacker: Attacker, subject: string, payload = ""): Promise<string> {
  return await attacker.unanswered(await attacker.app("berlin", "acme"), subject, payload);
}

/** A request of the sidecar of `from` to that of berlin, over the link. @returns the answer's body, or that there was none */
async function ask(
  world: World,
  from: string,
  body: unknown,
  more: { key?: SigningKey; verb?: string; sealed?: string } = {},
): Promise<{ state?: string; error?: string }> {
  const { control, keys } = world.at(from);
  const nonce = randomBytes(16).toString("hex");
  const { verb = "erase" } = more;
  const message: Message = { version: 1, from, to: "berlin", nonce, at: Date.now(), verb, body };
  const sealed = more.sealed ?? sealMessage(message, more.key ?? keys.site);
  const answer = await control.mesh
    .request(`mesh.berlin.rpc.${from}.erase`, sealed, { timeout: 5000 })
    .catch((error: unknown) => ({
      string: () => JSON.stringify({ message: JSON.stringify({ body: { error: String(error) } }) }),
    }));
  const { message: text } = JSON.parse(answer.string()) as { message: string };
  return (JSON.parse(text) as { body: { state?: string; error?: string } }).body;
}

const erase = (more: object = {}) => ({
  id: randomBytes(8).toString("hex"),
  tenant: "acme",
  origin: "tokyo",
  copies: [EVENT],
  at: new Date().toISOString(),
  dryRun: false,
  ...more,
});

function refused({ state, error }: { state?: string; error?: string }): string {
  if (error !== undefined) return error;
  if (state === "refused") return "refused";
  throw new Error(`it is ${state}`);
}

async function denied(
  world: World,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<string> {
  const response = await world
    .at("berlin")
    .site.api(method, path, body, { authorization: `Bearer ${token}` });
  if (response.ok) throw new Error(`${method} ${path} was answered ${response.status}`);
  return `${response.status} ${await response.text()}`;
}

attempt("app: writes a record of its own", (attacker) => app(attacker, "AUDIT.record", "{}"), heard);
for (const verb of ["DELETE", "PURGE", "UPDATE", "INFO", "MSG.GET", "MSG.DELETE", "SNAPSHOT"]) {
  attempt(
    `app: STREAM.${verb} of the trail`,
    (attacker) =>
      app(
        attacker,
        `$JS.API.STREAM.${verb}.leafmesh_audit`,
        JSON.stringify({ name: "leafmesh_audit", seq: 1 }),
      ),
    heard,
  );
}
attempt("app: reads the trail directly", (attacker) =>
  app(attacker, "$JS.API.DIRECT.GET.leafmesh_audit", '{"seq":1}'),
);
attempt("app: asks its site to erase as a peer would", (attacker) =>
  app(attacker, "mesh.berlin.rpc.austin.erase", JSON.stringify(erase())),
);

const told = { allow: TOLD };
attempt(
  "peer: has an event erased that this site published",
  async (_, world) => refused(await ask(world, "austin", erase({ origin: "berlin" }))),
  told,
);
attempt(
  "peer: has an event of another peer erased",
  async (_, world) => refused(await ask(world, "austin", erase({ origin: "tokyo" }))),
  told,
);
attempt(
  "peer: has an event of a tenant erased that is not imported from it",
  async (_, world) => refused(await ask(world, "tokyo", erase({ tenant: "globex" }))),
  told,
);
attempt(
  "peer: plays an erasure of last month again",
  async (_, world) =>
    refused(await ask(world, "tokyo", erase({ at: new Date(Date.now() - 30 * 86_400_000).toISOString() }))),
  told,
);
attempt(
  "peer: signs an erasure as another site",
  async (_, world) => refused(await ask(world, "tokyo", erase(), { key: world.at("austin").keys.site })),
  { allow: HELD, holds: true },
);
attempt(
  "peer: signs an erasure with a key that nobody knows",
  async (_, world) => refused(await ask(world, "tokyo", erase(), { key: createSigningKey() })),
  { allow: HELD, holds: true },
);
attempt(
  "peer: sends what it signed for another verb as an erasure",
  async (_, world) => refused(await ask(world, "tokyo", erase(), { verb: "poke" })),
  { allow: HELD, holds: true },
);
attempt(
  "peer: sends more than an erasure may hold, and what is none",
  async (_, world) => {
    const copies = Array.from({ length: 5000 }, (_one, index) => ({ ...EVENT, sequence: index + 1 }));
    const answers = [
      erase({ copies }),
      erase({ copies: [{ ...EVENT, stream: "KV_leafmesh_state>" }] }),
      null,
      "erase",
    ];
    const said: string[] = [];
    for (const body of answers) said.push(refused(await ask(world, "tokyo", body)));
    return said.join("; ");
  },
  told,
);
attempt(
  "peer: has streams looked through by dry runs for events that it never sent",
  async (_, world) => {
    const answer = await ask(
      world,
      "tokyo",
      erase({ dryRun: true, copies: [999, 1000].map((sequence) => ({ ...EVENT, sequence })) }),
    );
    if (JSON.stringify(answer).includes('"MESH/')) throw new Error(JSON.stringify(answer));
    return "nothing found";
  },
  told,
);

attempt(
  "nobody: reads the trail without a token",
  async (_, world) => {
    const response = await fetch(`http://${world.at("berlin").site.file.api?.listen}/v1/audit/export`);
    if (response.status !== 401) throw new Error(String(response.status));
    return "401";
  },
  told,
);
attempt("viewer: reads the trail", (_, world) => denied(world, tokens.viewer, "GET", "/v1/audit"), told);
attempt(
  "tenant admin: reads the trail",
  (_, world) => denied(world, tokens.globex, "GET", "/v1/audit/export"),
  told,
);
attempt(
  "auditor: erases an event",
  (_, world) =>
    denied(world, tokens.auditor, "POST", "/v1/tenants/acme/erasures", { subject: "acme.>", all: true }),
  told,
);
attempt(
  "tenant admin: erases an event of another tenant",
  (_, world) =>
    denied(world, tokens.globex, "POST", "/v1/tenants/acme/erasures", { subject: "acme.>", all: true }),
  told,
);
attempt(
  "tenant admin: erases another tenant's subject as its own",
  (_, world) =>
    denied(world, tokens.globex, "POST", "/v1/tenants/globex/erasures", { subject: "acme.>", all: true }),
  told,
);
attempt(
  "auditor: changes the trail by the API",
  async (_, world) => {
    const said = [];
    for (const method of ["POST", "PUT", "DELETE", "PATCH"])
      said.push(await denied(world, tokens.auditor, method, "/v1/audit"));
    return said.join("; ");
  },
  told,
);
