/** The API of a site under attack: tokens of every kind, and ways to ask that no client would take. */
import { expect } from "bun:test";
import { connect } from "node:net";
import { waitFor } from "../../support/wait_for.ts";
import { type Attacker, besiege, type Try } from "./attempt.ts";
import type { World } from "./world.ts";

export interface Ask {
  readonly token?: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

/** Starts the world, with tokens that are each used once. */
export function besiegeApi() {
  let base = "";
  const siege = besiege({}, prepare);
  /** The audit trail tells of refusals: it is what may change. */
  const TOLD = [/^berlin\/MESH\/leafmesh_audit\/state$/];
  const attempt = (name: string, attack: Try) => siege.attempt(name, attack, { allow: TOLD });

  const tokens = { acme: "", globex: "", viewer: "", auditor: "", expired: "", revoked: "", other: "" };
  const ids = new Map<string, string>();

  /** Tokens of every kind, each used once: what is noted of its last use is no attempt's doing. */
  async function prepare(there: World): Promise<void> {
    const { site } = there.at("berlin");
    const make = async (name: keyof typeof tokens, body: object) => {
      const response = await site.api("POST", "/v1/tokens", { name, ...body });
      expect(response.status).toBe(201);
      const made = (await response.json()) as { token: string; info: { id: string } };
      tokens[name] = made.token;
      ids.set(name, made.info.id);
      expect((await ask("GET", "/v1/whoami", { token: made.token })).status).toBe(200);
    };
    base = `http://${site.file.api?.listen}`;
    await make("acme", { role: "tenant-admin", tenant: "acme" });
    await make("globex", { role: "tenant-admin", tenant: "globex" });
    await make("viewer", { role: "viewer" });
    await make("auditor", { role: "auditor" });
    await make("expired", { role: "operator", expires: "2s" });
    await make("revoked", { role: "operator" });
    await site.api("DELETE", `/v1/tokens/${ids.get("revoked")}`);
    tokens.other = there.at("austin").site.token;
    const gone = async () => (await ask("GET", "/v1/whoami", { token: tokens.expired })).status === 401;
    await waitFor(gone, { what: "the token to expire", deadlineMs: 20_000 });
    const settled = async () => {
      const { items } = (await (await site.api("GET", "/v1/tokens")).json()) as {
        items: { lastUsed: unknown }[];
      };
      return items.every(({ lastUsed }) => lastUsed !== null);
    };
    await waitFor(settled, { what: "the last uses to be noted" });
  }

  async function ask(method: string, path: string, { token, headers, body }: Ask = {}): Promise<Response> {
    return await fetch(`${base}${path}`, {
      method,
      redirect: "manual",
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  }

  /** How a request was refused. @throws when it was not, or says what it must not */
  async function refusal(by: Attacker, response: Response, ...statuses: number[]): Promise<string> {
    const text = await response.text();
    by.unrevealed(text);
    if (!statuses.includes(response.status)) throw new Error(`${response.status} ${text.slice(0, 400)}`);
    return `${response.status} ${text}`;
  }

  /** Sends bytes as they are. @returns all that comes until the other side closes, or for as long as is waited */
  async function raw(text: string, waitMs = 3000): Promise<string> {
    const { hostname, port } = new URL(base);
    return await new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write(text));
      let found = "";
      const timer = setTimeout(() => socket.destroy(), waitMs);
      socket.on("data", (chunk) => {
        found += String(chunk);
      });
      socket.on("error", reject);
      socket.on("close", () => {
        clearTimeout(timer);
        resolve(found);
      });
    });
  }
  const rawGet = (path: string, ...headers: string[]) =>
    raw(
      `GET ${path} HTTP/1.1\r\n${[`Host: ${new URL(base).host}`, ...headers, "Connection: close"].join("\r\n")}\r\n\r\n`,
    );

  /** Requests that must all be refused with one of the statuses. */
  const refused =
    (statuses: number[], ...asks: (readonly [string, string, Ask?])[]): Try =>
    async (by) => {
      const said: string[] = [];
      for (const [method, path, how] of asks)
        said.push(await refusal(by, await ask(method, path, how), ...statuses));
      return said.join("\n");
    };
  /** The same with a token that is only known when the attempt runs. */
  const as =
    (
      who: keyof typeof tokens,
      statuses: number[],
      ...asks: (readonly [string, string, Omit<Ask, "token">?])[]
    ): Try =>
    async (by, there) =>
      await refused(
        statuses,
        ...asks.map(([method, path, how]) => [method, path, { ...how, token: tokens[who] }] as const),
      )(by, there);
  return { ...siege, attempt, tokens, ids, ask, refusal, raw, rawGet, refused, as, base: () => base };
}
