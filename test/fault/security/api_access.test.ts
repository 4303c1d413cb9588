/** Attempts on the API of a site: by those without a token, with one that does not hold, and with too little of a role. */
import { expect, test } from "bun:test";
import { connect } from "node:net";
import { waitFor } from "../../support/wait_for.ts";
import { type Attacker, besiege, type Try } from "./attempt.ts";
import { SECRETS, type World } from "./world.ts";

const siege = besiege({}, prepare);
const { world, judge } = siege;
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

let base = "";

interface Ask {
  readonly token?: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
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

attempt(
  "anonymous: reads and changes without a token",
  refused(
    [401],
    ["GET", "/v1/tenants"],
    ["GET", "/v1/audit"],
    ["GET", "/metrics"],
    ["PUT", "/v1/tenants/evil", { body: {} }],
    ["DELETE", "/v1/tenants/acme", { headers: { "if-match": "*" } }],
    ["POST", "/v1/tokens", { body: { name: "evil", role: "operator" } }],
  ),
);
attempt(
  "anonymous: guesses a token",
  refused(
    [401],
    ["GET", "/v1/tenants", { token: "lm_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }],
    ["GET", "/v1/tenants", { token: `lmt_000000000000_${"a".repeat(43)}` }],
  ),
);
attempt("anonymous: puts the token elsewhere than in Authorization", async (by, there) => {
  const { token } = there.at("berlin").site;
  const places: Ask[] = [
    { headers: { authorization: `Basic ${Buffer.from(`admin:${token}`).toString("base64")}` } },
    { headers: { authorization: token } },
    { headers: { "x-api-key": token, "x-auth-token": token } },
    { headers: { cookie: `token=${token}; authorization=Bearer ${token}` } },
    { headers: { "proxy-authorization": `Bearer ${token}` } },
  ];
  const said: string[] = [];
  for (const place of places) said.push(await refusal(by, await ask("GET", "/v1/tenants", place), 401));
  return said.join();
});
attempt("anonymous: puts a good token into the URL", async (by, there) => {
  const { token } = there.at("berlin").site;
  const said = [
    await refusal(by, await ask("GET", `/v1/tenants?access_token=${token}`), 401),
    await refusal(by, await ask("GET", `/v1/tenants?token=${token}`, { token }), 401),
  ];
  if (said.join().includes(token)) throw new Error("The token is in the answer");
  return said.join();
});
attempt(
  "anonymous: uses a token that has expired",
  as("expired", [401], ["GET", "/v1/tenants"], ["POST", "/v1/apply"]),
);
attempt(
  "anonymous: uses a token that was revoked",
  as("revoked", [401], ["GET", "/v1/tenants"], ["POST", "/v1/apply"]),
);
attempt(
  "peer site: uses the token of its own API",
  as("other", [401], ["GET", "/v1/tenants"], ["POST", "/v1/apply"]),
);
attempt("viewer: puts the secret of its token behind the id of another", async (by) => {
  const token = tokens.acme.slice(0, 17) + tokens.viewer.slice(17);
  return await refusal(by, await ask("GET", "/v1/tenants/acme", { token }), 401);
});
attempt("anonymous: signs a token of its own", async (by) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = part({ sub: "root", role: "operator", roles: ["operator"], exp: 9_999_999_999 });
  const token = `${part({ alg: "none", typ: "JWT", kid: "x" })}.${claims}.AA`;
  return await refusal(by, await ask("GET", "/v1/tenants", { token }), 401);
});
attempt("anonymous: reads why the site is not ready", async (by) => {
  const response = await ask("GET", "/readyz");
  const text = await response.text();
  by.unrevealed(text);
  if (/acme|globex|initech|MESH/.test(text)) throw new Error(text);
  return `only ${text}`;
});

// ── tenants of others ──

attempt("tenant-admin: asks for another tenant, and for one that is not there", async (by) => {
  const token = tokens.globex;
  const same = async (method: string, path: (tenant: string) => string, body?: unknown) => {
    const how = body === undefined ? { token } : { token, body };
    const there = await refusal(by, await ask(method, path("acme"), how), 404);
    const nowhere = await refusal(by, await ask(method, path("nobody"), how), 404);
    if (there.replaceAll("acme", "nobody") !== nowhere) throw new Error(`${there} differs from ${nowhere}`);
    return there;
  };
  return [
    await same("GET", (tenant) => `/v1/tenants/${tenant}`),
    await same("HEAD", (tenant) => `/v1/tenants/${tenant}`),
    await same("PUT", (tenant) => `/v1/tenants/${tenant}`, {}),
    await same("DELETE", (tenant) => `/v1/tenants/${tenant}`),
    await same("GET", (tenant) => `/v1/tenants/${tenant}/exports/orders`),
    await same("PUT", (tenant) => `/v1/tenants/${tenant}/exports/orders`, { to: ["tokyo"], rules: [] }),
    await same("GET", (tenant) => `/v1/tenants/${tenant}/dlq/1?payload=true`),
    await same("POST", (tenant) => `/v1/tenants/${tenant}/dlq/drop`, { all: true }),
    await same("POST", (tenant) => `/v1/tenants/${tenant}/keys/pseudonym`),
    await same("POST", (tenant) => `/v1/tenants/${tenant}/explain`, { subject: "acme.orders.1" }),
    await refusal(by, await ask("POST", "/v1/explain", { token, body: { subject: "acme.orders.1" } }), 404),
  ].join("\n");
});
attempt("tenant-admin: looks for other tenants in all that lists something", async (by) => {
  const said: string[] = [];
  for (const path of [
    "/v1/tenants",
    "/v1/links",
    "/v1/plan",
    "/v1/lint",
    "/v1/site",
    "/v1/whoami",
    "/readyz",
  ]) {
    const text = await (await ask("GET", path, { token: tokens.globex })).text();
    by.unrevealed(text, [SECRETS.local, SECRETS.email, SECRETS.initech]);
    if (/acme|initech/.test(text)) throw new Error(`${path}: ${text}`);
    said.push(`${path} ${text.length}`);
  }
  return `nothing in ${said.join()}`;
});
attempt(
  "tenant-admin: reads what is the whole site's",
  as(
    "globex",
    [403],
    ["GET", "/metrics"],
    ["GET", "/v1/peers"],
    ["GET", "/v1/peers/tokyo"],
    ["GET", "/v1/tokens"],
    ["GET", "/v1/audit"],
    ["GET", "/v1/audit/export"],
  ),
);
attempt(
  "tenant-admin: changes what is the whole site's",
  as(
    "globex",
    [403],
    ["POST", "/v1/apply"],
    ["PUT", "/v1/peers/evil", { body: { key: "U" } }],
    ["DELETE", "/v1/peers/tokyo", { headers: { "if-match": "*" } }],
    ["DELETE", "/v1/tenants/globex", { headers: { "if-match": "*" } }],
  ),
);
attempt(
  "tenant-admin: makes itself an operator",
  as(
    "globex",
    [403],
    ["POST", "/v1/tokens", { body: { name: "evil", role: "operator" } }],
    ["POST", "/v1/tokens/bootstrap/rotate"],
    ["DELETE", `/v1/tokens/000000000000`],
  ),
);
attempt("tenant-admin: widens its own limits", async (by) => {
  const headers = { "if-match": "*" };
  const token = tokens.globex;
  const { users } = (await (await ask("GET", "/v1/tenants/globex", { token })).json()) as { users: unknown };
  const put = (more: object) =>
    ask("PUT", "/v1/tenants/globex", { token, headers, body: { users, ...more } });
  return [
    await refusal(by, await put({ limits: { storage: "1TiB" } }), 403),
    await refusal(by, await put({ dedupe: { window: "24h" } }), 403),
    await refusal(by, await put({ log: false }), 403),
  ].join("\n");
});
attempt("tenant-admin: exports the subjects of another tenant", async (by) => {
  const body = { to: ["tokyo"], rules: [{ subjects: ["acme.>"] }] };
  return await refusal(
    by,
    await ask("PUT", "/v1/tenants/globex/exports/steal", { token: tokens.globex, body }),
    422,
  );
});
attempt("tenant-admin: takes the key of another tenant's user, to learn whose it is", async (by, there) => {
  const { site } = there.at("berlin");
  const token = tokens.globex;
  const { users } = (await (await ask("GET", "/v1/tenants/globex", { token })).json()) as { users: object[] };
  const key = site.appKey("acme").publicKey;
  const body = { users: [...users, { name: "spy", key }] };
  const said = await refusal(
    by,
    await ask("PUT", "/v1/tenants/globex", { token, headers: { "if-match": "*" }, body }),
    422,
  );
  if (/acme|initech|tenants\[|peers\[/.test(said)) throw new Error(said);
  return said;
});

// ── roles ──

attempt(
  "viewer: changes something",
  as(
    "viewer",
    [403],
    ["PUT", "/v1/tenants/evil", { body: {} }],
    ["DELETE", "/v1/tenants/acme", { headers: { "if-match": "*" } }],
    ["PUT", "/v1/tenants/acme/exports/evil", { body: { to: ["tokyo"], rules: [{ subjects: ["acme.>"] }] } }],
    ["POST", "/v1/tenants/acme/dlq/drop", { body: { all: true } }],
    ["POST", "/v1/apply"],
    ["POST", "/v1/tokens", { body: { name: "evil", role: "operator" } }],
  ),
);
attempt("viewer and auditor: see payloads", async (by, there) =>
  [
    await as(
      "viewer",
      [403],
      ["GET", "/v1/tenants/acme/dlq/1?payload=true"],
      ["GET", "/v1/tenants/acme/exports/orders/shadow?samples=true"],
    )(by, there),
    await as(
      "auditor",
      [403],
      ["GET", "/v1/tenants/acme/dlq/1?payload=true"],
      ["POST", "/v1/explain", { body: { subject: "acme.orders.1" } }],
    )(by, there),
    await as(
      "viewer",
      [403],
      [
        "POST",
        "/v1/tenants/acme/exports/orders/diff",
        { body: { rules: [{ subjects: ["acme.>"] }], samples: true } },
      ],
    )(by, there),
  ].join("\n"),
);
attempt(
  "auditor: changes what it audits",
  as(
    "auditor",
    [403, 404, 405],
    ["DELETE", "/v1/audit"],
    ["PUT", "/v1/audit", { body: {} }],
    ["DELETE", "/v1/tokens/000000000000"],
    ["POST", "/v1/apply"],
  ),
);

// ── paths and headers ──

attempt("tenant-admin: gets to another tenant by the way a path is written", async (by) => {
  const authorization = `Authorization: Bearer ${tokens.globex}`;
  const paths = [
    "/v1/tenants/globex%2f..%2facme",
    "/v1/tenants/globex%2F..%2Facme/exports",
    "/v1/tenants/globex/../acme",
    "/v1/tenants/globex/%2e%2e/acme",
    "/v1/tenants/globex/%252e%252e/acme",
    "/v1/tenants/globex/..%5cacme",
    "/v1/tenants/%61cme",
    "/v1/tenants/%2561cme",
    "/v1/tenants/ACME",
    "/V1/tenants/acme",
    "//v1/tenants/acme",
    "/v1//tenants/acme",
    "/v1/./tenants/acme",
    "/v1/tenants/acme/",
    "/v1/tenants/acme;globex",
    "/v1/tenants/acme%00globex",
    "/v1/tenants/acme?tenant=globex",
    "/v1/tenants/acme#globex",
    "http://127.0.0.1/v1/tenants/acme",
  ];
  const said: string[] = [];
  for (const path of paths) {
    const answer = await rawGet(path, authorization);
    by.unrevealed(answer);
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? "closed";
    if (!["400", "404", "421", "closed"].includes(status)) throw new Error(`${path}: ${answer}`);
    said.push(`${path} ${status}`);
  }
  return said.join("\n");
});
attempt("anonymous: gets past the token by the way a path is written", async (by) => {
  const paths = [
    "/v1%2ftenants",
    "/%76%31/tenants",
    "//v1/tenants",
    "/./v1/tenants",
    "/healthz/../v1/tenants",
    "/v1/tenants%3f",
    "/openapi.json/../v1/tenants",
    "/V1/TENANTS",
  ];
  const said: string[] = [];
  for (const path of paths) {
    const answer = await rawGet(path);
    by.unrevealed(answer);
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? "closed";
    if (!["400", "401", "404", "closed"].includes(status)) throw new Error(`${path}: ${answer}`);
    said.push(`${path} ${status}`);
  }
  return said.join("\n");
});
attempt("viewer: changes the method, the path or its role by a header", async (by) => {
  const token = tokens.viewer;
  const gets = [
    { "x-http-method-override": "DELETE", "x-http-method": "DELETE", "x-method-override": "DELETE" },
    { "x-role": "operator", "x-user": "bootstrap", "x-principal": '{"role":"operator"}' },
  ];
  const said: string[] = [];
  for (const headers of gets) {
    const response = await ask("GET", "/v1/tenants/acme", { token, headers });
    if (response.status !== 200) throw new Error(`${response.status}`);
    const rewritten = { ...headers, "x-original-url": "/v1/tokens", "x-rewrite-url": "/v1/tokens" };
    const whoami = await (await ask("GET", "/v1/whoami", { token, headers: rewritten })).text();
    if (!whoami.includes('"role":"viewer"')) throw new Error(whoami);
    said.push(await refusal(by, await ask("POST", "/v1/apply", { token, headers: rewritten }), 403));
  }
  const twice = `?_method=DELETE&method=DELETE`;
  said.push(await refusal(by, await ask("POST", `/v1/tenants/acme${twice}`, { token, body: {} }), 405));
  return said.join("\n");
});
attempt("viewer: sends two tokens", async (by) => {
  const answer = await rawGet(
    "/v1/tokens",
    `Authorization: Bearer ${tokens.viewer}`,
    "Authorization: Bearer lm_aaaaaaaaaaaaaaaaaaaaaaaaaaa",
  );
  by.unrevealed(answer);
  if (!/^HTTP\/1\.1 (400|401|403)/.test(answer)) throw new Error(answer);
  return answer;
});
attempt("a page in a browser: reaches the API by a host name of its own", async (by, there) => {
  const { token } = there.at("berlin").site;
  const authorization = `Authorization: Bearer ${token}`;
  const said: string[] = [];
  for (const host of ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example"]) {
    const answer = await raw(
      `GET /v1/tenants HTTP/1.1\r\nHost: ${host}\r\n${authorization}\r\nConnection: close\r\n\r\n`,
    );
    by.unrevealed(answer);
    if (!/^HTTP\/1\.1 (421|400)/.test(answer)) throw new Error(answer);
    said.push(answer);
  }
  const preflight = await ask("OPTIONS", "/v1/tenants", {
    headers: { origin: "https://evil.example", "access-control-request-method": "PUT" },
  });
  if (preflight.ok || preflight.headers.has("access-control-allow-origin")) throw new Error("CORS");
  return said.join("\n");
});
attempt("anonymous: hides a second request in the body of the first", async (by) => {
  const inner = "GET /v1/tenants HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const answer = await raw(
    `POST /v1/lint HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${tokens.viewer}\r\nContent-Type: application/json\r\nContent-Length: ${inner.length}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n${inner}`,
  );
  by.unrevealed(answer);
  if (/HTTP\/1\.1 200/.test(answer)) throw new Error(answer);
  return answer === "" ? "closed" : answer;
});
attempt("anonymous: writes headers of the answer by a line break in the path", async (by) => {
  const answer = await rawGet("/v1/tenants/%0d%0aX-Injected:%201", `Authorization: Bearer ${tokens.viewer}`);
  by.unrevealed(answer);
  if (/^X-Injected/im.test(answer)) throw new Error(answer);
  return answer;
});

// ── bodies ──

const putGlobex = async (body: string, headers: Record<string, string> = {}) =>
  await ask("PUT", "/v1/tenants/globex", {
    token: tokens.globex,
    body,
    headers: { "if-match": "*", ...headers },
  });

attempt("tenant-admin: names a member twice", async (by) =>
  [
    await refusal(by, await putGlobex('{"tenant":"globex","tenant":"acme"}'), 400),
    await refusal(by, await putGlobex('{"log":true,"l\\u006fg":false}'), 400),
  ].join("\n"),
);
attempt("tenant-admin: names __proto__ and constructor", async (by) => {
  const bodies = [
    '{"__proto__":{"role":"operator"}}',
    '{"constructor":{"prototype":{"x":1}}}',
    '{"users":[{"__proto__":{}}]}',
  ];
  const said: string[] = [];
  for (const body of bodies) said.push(await refusal(by, await putGlobex(body), 400, 422, 403));
  if (Object.hasOwn(Object.prototype, "x")) throw new Error("polluted");
  return said.join("\n");
});
attempt("tenant-admin: nests without end", async (by) =>
  [
    await refusal(by, await putGlobex(`{"users":${"[".repeat(100_000)}${"]".repeat(100_000)}}`), 400),
    await refusal(by, await putGlobex('{"a":'.repeat(50_000)), 400),
  ].join("\n"),
);
attempt("tenant-admin: writes numbers that none can hold", async (by) =>
  [
    await refusal(by, await putGlobex('{"limits":{"storage":1e400}}'), 400, 422),
    await refusal(by, await putGlobex(`{"limits":{"storage":${"9".repeat(10_000)}}}`), 400, 422),
  ].join("\n"),
);
attempt("tenant-admin: calls its JSON something else", async (by) => {
  const said: string[] = [];
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "",
  ]) {
    said.push(await refusal(by, await putGlobex('{"log":false}', { "content-type": type }), 400, 415));
  }
  return said.join("\n");
});
attempt("tenant-admin: writes its tenant's document over another's", async (by) =>
  [
    await refusal(by, await putGlobex('{"tenant":"acme"}'), 400),
    await refusal(
      by,
      await ask("PUT", "/v1/tenants/acme", { token: tokens.globex, body: { tenant: "globex" } }),
      404,
    ),
  ].join("\n"),
);
attempt("tenant-admin: sends bytes that are no text", async (by) => {
  const headers = {
    authorization: `Bearer ${tokens.globex}`,
    "content-type": "application/json",
    "if-match": "*",
  };
  const send = (body: Uint8Array<ArrayBuffer>) =>
    fetch(`${base}/v1/tenants/globex`, { method: "PUT", headers, body });
  return [
    await refusal(by, await send(new Uint8Array([0x7b, 0xff, 0xfe, 0x7d])), 400),
    await refusal(by, await send(new Uint8Array([0, 0, 0])), 400),
  ].join("\n");
});
attempt("tenant-admin: sends a body without end, with its length and without", async (by) => {
  const headers = {
    authorization: `Bearer ${tokens.globex}`,
    "content-type": "application/json",
    "if-match": "*",
  };
  const big = await putGlobex(JSON.stringify({ x: "x".repeat(2 << 20) }));
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent += 65_536;
      if (sent > 8 << 20) controller.close();
      else controller.enqueue(new Uint8Array(65_536).fill(32));
    },
  });
  const chunked = await fetch(`${base}/v1/tenants/globex`, {
    method: "PUT",
    headers,
    body,
    duplex: "half",
  } as RequestInit).catch(() => null);
  return [await refusal(by, big, 413), chunked === null ? "cut" : await refusal(by, chunked, 413)].join("\n");
});
attempt("tenant-admin: sends a body slowly", async (by) => {
  const answer = await raw(
    `PUT /v1/tenants/globex HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${tokens.globex}\r\nContent-Type: application/json\r\nIf-Match: *\r\nContent-Length: 1000\r\n\r\n{`,
    20_000,
  );
  by.unrevealed(answer);
  if (!answer.startsWith("HTTP/1.1 408")) throw new Error(answer);
  return answer;
});
attempt("tenant-admin: sends headers and URLs without end", async (by) => {
  const long = await rawGet(
    "/v1/tenants/globex",
    `Authorization: Bearer ${tokens.globex}`,
    `X-Long: ${"a".repeat(100_000)}`,
  );
  const url = await rawGet(
    `/v1/tenants/globex?x=${"a".repeat(12_000)}`,
    `Authorization: Bearer ${tokens.globex}`,
  );
  for (const answer of [long, url]) {
    by.unrevealed(answer);
    if (/^HTTP\/1\.1 2/.test(answer)) throw new Error(answer);
  }
  return `${long} ${url} closed or refused`;
});
attempt("tenant-admin: writes over what somebody has changed since", async (by) => {
  const token = tokens.globex;
  const body = { to: ["tokyo"], rules: [{ subjects: ["globex.>"] }] };
  const put = (headers: Record<string, string>) =>
    ask("PUT", "/v1/tenants/globex/exports/all", { token, headers, body });
  return [
    await refusal(by, await put({}), 428),
    await refusal(by, await put({ "if-match": '"0"' }), 412),
    await refusal(by, await put({ "if-match": 'W/"1"' }), 412),
    await refusal(by, await put({ "if-none-match": "*" }), 412),
  ].join("\n");
});

// ── at the end: what changes the state, or uses limits up ──

test("of concurrent writes with one ETag exactly one wins", async () => {
  const { site } = world().at("berlin");
  const path = "/v1/tenants/globex";
  const before = await site.api("GET", path);
  const etag = before.headers.get("etag") ?? "";
  const value = (await before.json()) as object;
  const sensitive = (n: number) => [{ fields: [`$.field${n}`] }];
  const put = (n: number) =>
    site.api("PUT", path, { ...value, sensitive: sensitive(n) }, { "if-match": etag });
  const statuses = (await Promise.all(Array.from({ length: 16 }, (_, n) => put(n)))).map(
    ({ status }) => status,
  );
  expect(statuses.toSorted()).toEqual([200, ...new Array<number>(15).fill(412)]);
  const after = (await (await site.api("GET", path)).json()) as { sensitive: unknown };
  expect(after.sensitive).toEqual(sensitive(statuses.indexOf(200)));
  const now = (await site.api("GET", path)).headers.get("etag") ?? "";
  expect((await site.api("PUT", path, value, { "if-match": now })).status).toBe(200);
  judge().forget();
}, 60_000);

test("a revoked token ends a request that is under way within a second", async () => {
  const { site } = world().at("berlin");
  const made = await site.api("POST", "/v1/tokens", { name: "short", role: "operator" });
  const { token, info } = (await made.json()) as { token: string; info: { id: string } };
  const answer = raw(
    `PUT /v1/tenants/evil HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`,
    20_000,
  );
  // The request is there when its token was used.
  const used = async () => {
    const { items } = (await (await site.api("GET", "/v1/tokens")).json()) as {
      items: { id: string; lastUsed: string | null }[];
    };
    return items.find(({ id }) => id === info.id)?.lastUsed != null;
  };
  await waitFor(used, { what: "the request to begin" });
  const started = performance.now();
  expect((await site.api("DELETE", `/v1/tokens/${info.id}`)).status).toBe(204);
  expect(await answer).toStartWith("HTTP/1.1 401");
  expect(performance.now() - started).toBeLessThan(1000);
  expect((await ask("GET", "/v1/whoami", { token })).status).toBe(401);
  judge().forget();
}, 60_000);

attempt("anonymous: tries tokens until one fits, from addresses that it makes up", async (by, there) => {
  const statuses = new Map<number, number>();
  for (let n = 0; n < 120; n += 1) {
    const headers = {
      "x-forwarded-for": `10.0.0.${n}`,
      "x-real-ip": `10.0.1.${n}`,
      forwarded: `for=10.0.2.${n}`,
    };
    const response = await ask("GET", "/v1/tenants", { token: `lm_guess_number_${n}`, headers });
    by.unrevealed(await response.text());
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    if (response.status === 429 && !response.headers.has("retry-after")) throw new Error("No Retry-After");
  }
  const said = JSON.stringify([...statuses]);
  if ((statuses.get(429) ?? 0) === 0 || [...statuses.keys()].some((one) => one !== 401 && one !== 429))
    throw new Error(said);
  // Nobody else is locked out by it.
  const { site } = there.at("berlin");
  if ((await site.api("GET", "/v1/whoami")).status !== 200) throw new Error("The operator is locked out");
  return said;
});
