/** An app that prints what it receives: bun subscribe.ts HOST:PORT KEY_FILE SUBJECT */
import { readFileSync } from "node:fs";
import process from "node:process";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";

const [servers = "", keyFile = "", subject = ""] = process.argv.slice(2);
const seed = new TextEncoder().encode(readFileSync(keyFile, "utf8").trim());
const nc = await connect({ servers, authenticator: nkeyAuthenticator(seed) });
const subscription = nc.subscribe(subject);
console.log(`subscribed to ${subject} at ${servers}`);
for await (const message of subscription) console.log(`${message.subject}  ${message.string()}`);
