/**
 * An app that publishes one event and waits until it is stored:
 * bun publish.ts HOST:PORT KEY_FILE SUBJECT PAYLOAD [NAME=VALUE...]
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { connect, headers, nkeyAuthenticator } from "@nats-io/transport-node";

const [servers = "", keyFile = "", subject = "", payload = "", ...pairs] = process.argv.slice(2);
const seed = new TextEncoder().encode(readFileSync(keyFile, "utf8").trim());
const nc = await connect({ servers, authenticator: nkeyAuthenticator(seed) });
const header = headers();
for (const pair of pairs) header.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
// The answer to a publish is JetStream's acknowledgement: the event is on disk at this site.
const acknowledged = await nc.request(subject, payload, { headers: header, timeout: 5000 });
console.log(acknowledged.string());
await nc.close();
