/** Who has no key: somebody who can reach the ports of a site. */
import { readFile } from "node:fs/promises";
import { connect as dial } from "node:net";
import { parseAddress } from "../../../src/nats/addresses.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { RawClient } from "../../support/raw_client.ts";
import { RawLeaf } from "../../support/raw_leaf.ts";
import { besiege } from "./attempt.ts";
import { SECRETS } from "./world.ts";

const { attempt, world } = besiege();

const listen = () => world().at("berlin").site.file.server?.listen ?? "";
const leafPort = () => world().at("berlin").site.file.server?.leaf ?? "";

/** @throws when the connection was let in */
function denied(client: RawClient, expected: RegExp = /authorization violation/i): string {
  if (!expected.test(client.errors) || !client.closed) throw new Error(`Let in: ${client.lines.join(" | ")}`);
  return client.errors;
}

attempt("anonymous: connects without a key", async (a) => denied(await a.raw("berlin")));

attempt("anonymous: connects with a key that nobody has", async (a) =>
  denied(await a.raw("berlin", { key: createSigningKey() })),
);

attempt("anonymous: names the sidecar's key without being able to sign with it", async (a, w) => {
  const known = w.at("berlin").keys.mesh.publicKey;
  const forged = { nkey: known, sig: Buffer.from(new Uint8Array(64)).toString("base64url") };
  return denied(await a.raw("berlin", { connect: forged }));
});

attempt("anonymous: plays the signature of an earlier login again", async (a, w) => {
  const key = w.at("berlin").site.appKey("acme");
  const first = await a.raw("berlin", { login: false });
  const nonce = new TextEncoder().encode(String(first.info.nonce));
  const sig = Buffer.from(key.sign(nonce)).toString("base64url");
  return denied(await a.raw("berlin", { connect: { nkey: key.publicKey, sig } }));
});

attempt("anonymous: guesses users, passwords and tokens", async (a) => {
  const said: string[] = [];
  for (const login of [
    { user: "admin", pass: "admin" },
    { user: "leafmesh", pass: "leafmesh" },
    { user: "acme", pass: "acme" },
    { user: "MESH", pass: "" },
    { auth_token: "secret" },
    { jwt: "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.AA", sig: "AA" },
  ]) {
    said.push(denied(await a.raw("berlin", { connect: login })));
  }
  return said.join("; ");
});

attempt("anonymous: publishes and subscribes before it has logged in", async (a) => {
  const client = await a.raw("berlin", { login: false });
  client.subscribe(">");
  client.publish("acme.orders.1", a.mark);
  client.publish("berlin.acme.orders.1", a.mark);
  await client.gone();
  if (client.lines.some((line) => line.startsWith("MSG"))) throw new Error("heard something");
  // What was on its way to a server that has closed already resets the connection, and the server's last words are lost.
  if (client.closed && client.lines.every((line) => line.startsWith("INFO "))) return "cut off";
  return denied(client, /authorization|authentication/i);
});

attempt("anonymous: reads from the greeting of a server who is there", async (a, w) => {
  const client = await a.raw("berlin", { login: false });
  const told = JSON.stringify(client.info);
  const { keys, site } = w.at("berlin");
  const names = ["acme", "globex", "initech", "austin", "tokyo", site.folder];
  for (const secret of [...names, keys.mesh.publicKey, keys.sys.publicKey, keys.site.publicKey]) {
    if (told.includes(secret)) throw new Error(`The greeting names ${secret}: ${told}`);
  }
  return "the greeting names the site and the server's version alone";
});

attempt("anonymous: says nothing after the greeting and keeps the connection", async (a) => {
  const silent = await Promise.all(Array.from({ length: 50 }, () => a.raw("berlin", { login: false })));
  await Promise.all(silent.map((client) => client.gone(30_000)));
  return silent.map((client) => denied(client, /authentication timeout/i))[0] ?? "";
});

attempt("anonymous: floods the port with logins that fail", async (a, w) => {
  const said: string[] = [];
  for (let round = 0; round < 4; round++) {
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => a.raw("berlin", { key: createSigningKey() })),
    );
    said.push(...clients.map((client) => denied(client)));
  }
  // Who belongs there still gets in.
  const nc = await w.at("berlin").site.app("acme");
  await nc.flush();
  await nc.close();
  return `${said.length} refused`;
});

attempt("anonymous: sends a control line without end", async (a) => {
  const client = await a.raw("berlin", { login: false });
  client.socket.write(Buffer.from(`CONNECT {"name":"${"x".repeat(256 * 1024)}`));
  await client.gone();
  return denied(client, /-ERR/);
});

attempt("anonymous: sends bytes that are no protocol", async (a) => {
  const said: string[] = [];
  for (const bytes of [
    "\0\0\0\0\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "PUB acme.x -1\r\n\r\n",
    "\x16\x03\x01",
  ]) {
    const client = await a.raw("berlin", { login: false });
    client.socket.write(Buffer.from(bytes, "latin1"));
    await client.gone();
    said.push(client.errors);
  }
  return said.join("; ");
});

attempt("anonymous: asks the port of the apps for a web page, a web socket, metrics", async () => {
  const said: string[] = [];
  for (const path of ["/", "/varz", "/connz?auth=1", "/jsz?streams=1", "/accountz?acc=MESH"]) {
    const answer = await fetch(`http://${listen()}${path}`).then(
      (response) => response.text(),
      (error: unknown) => `refused: ${String(error)}`,
    );
    if (!answer.startsWith("refused")) throw new Error(answer.slice(0, 200));
    said.push(answer);
  }
  return said.join("; ");
});

attempt("anonymous: looks for a monitoring port of the server", async (_a, w) => {
  const config = await readFile(`${w.at("berlin").site.dataFolder}/nats.conf`, "utf8");
  if (/^\s*(http|https|http_port|https_port|profile_port|cluster|gateway|debug_port)\b/m.test(config)) {
    throw new Error("The configuration opens a port without a login");
  }
  const varz = await w.at("berlin").control.system.varz();
  if (varz.http_port || varz.https_port || varz.cluster_port) throw new Error(JSON.stringify(varz));
  return "there is none";
});

attempt("anonymous: speaks leaf to the port of apps, and client to the port of peers", async (a) => {
  const leaf = await RawLeaf.open({ address: listen(), key: createSigningKey() });
  a.onEnd(() => leaf[Symbol.dispose]());
  if (!leaf.closed) throw new Error("A leaf was let in at the port of apps");
  const client = await RawClient.open({ address: leafPort(), login: false });
  a.onEnd(() => client[Symbol.dispose]());
  client.send(`CONNECT {"verbose":false,"lang":"go","version":"1"}`);
  client.subscribe(">");
  client.publish("berlin.acme.orders.1", a.mark);
  await client.gone();
  return client.errors || "closed";
});

attempt("anonymous: dials as a peer with a key of its own", async (a) => {
  const leaf = await RawLeaf.open({ address: leafPort(), key: createSigningKey() });
  a.onEnd(() => leaf[Symbol.dispose]());
  if (!leaf.closed) throw new Error("Let in");
  return leaf.lines.at(-1) ?? "closed";
});

attempt("anonymous: dials as a peer with the key of a tenant's app, and of the sidecar", async (a, w) => {
  const { keys, site } = w.at("berlin");
  const said: string[] = [];
  for (const key of [site.appKey("acme"), keys.mesh, keys.sys, keys.site]) {
    const leaf = await RawLeaf.open({ address: leafPort(), key });
    a.onEnd(() => leaf[Symbol.dispose]());
    if (!leaf.closed) throw new Error(`${key.publicKey} was let in`);
    said.push(leaf.lines.at(-1) ?? "closed");
  }
  return said.join("; ");
});

attempt("anonymous: opens the API and the files of the API's host without a token", async (_a, w) => {
  const api = `http://${w.at("berlin").site.file.api?.listen}`;
  const said: string[] = [];
  for (const path of [
    "/v1/site",
    "/v1/tenants",
    "/v1/links",
    "/v1/tenants/acme/dlq",
    "/v1/../v1/peers",
    "//v1/peers",
    "/v1/%2e%2e/v1/peers",
    "/metrics",
    "/../../keys/api.token",
    "/..%2f..%2fkeys%2fapi.token",
  ]) {
    const response = await fetch(api + path);
    const text = await response.text();
    if (response.ok && path !== "/") throw new Error(`${path}: ${response.status} ${text.slice(0, 200)}`);
    for (const secret of [...Object.values(SECRETS), "globex", "initech"])
      if (text.includes(secret)) throw new Error(`${path} names ${secret}`);
    said.push(`${path} ${response.status}`);
  }
  return said.join("; ");
});

attempt("anonymous: holds a hundred open connections to each port", async (a) => {
  const sockets = [listen(), leafPort()].flatMap((address) =>
    Array.from({ length: 100 }, () => dial(parseAddress(address))),
  );
  const closed = Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.on("error", () => {});
          socket.on("close", () => resolve());
          socket.resume();
        }),
    ),
  );
  a.onEnd(() => {
    for (const socket of sockets) socket.destroy();
  });
  // The server ends them by itself: who does not log in has two seconds.
  await closed;
  return "all were closed by the server";
});
