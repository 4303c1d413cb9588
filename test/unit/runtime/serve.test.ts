import { describe, expect, test } from "bun:test";
import { createCa, issueApi } from "../../../src/nats/pki/certificates.ts";
import { fetchTrusting } from "../../../src/runtime/fetch.ts";
import { type HttpServer, type ServeOptions, serve } from "../../../src/runtime/serve.ts";

async function start(fetch: ServeOptions["fetch"]): Promise<HttpServer> {
  const result = await serve({ hostname: "127.0.0.1", port: 0, fetch });
  if (result.type !== "serving") throw new Error(`Does not serve: ${result.type} ${result.address}`);
  return result.server;
}

describe("serve()", () => {
  test("answers at a free port", async () => {
    await using server = await start((request) => new Response(`you ask ${new URL(request.url).pathname}`));
    const answer = await fetch(`http://127.0.0.1:${server.port}/a`);
    expect(await answer.text()).toBe("you ask /a");
  });

  test("says where a request comes from", async () => {
    await using server = await start((_, { address }) => new Response(address));
    const answer = await fetch(`http://127.0.0.1:${server.port}/`);
    expect(await answer.text()).toBe("127.0.0.1");
  });

  test("speaks TLS, to who trusts the CA", async () => {
    const validity = { now: new Date(), ttlMs: 3_600_000 };
    const ca = await createCa("berlin", validity);
    const { certPem, keyPem } = await issueApi(ca, { site: "berlin", hosts: ["127.0.0.1"] }, validity);
    const tls = { cert: certPem, key: keyPem };
    const result = await serve({ hostname: "127.0.0.1", port: 0, tls, fetch: () => new Response("sealed") });
    if (result.type !== "serving") throw new Error(`Does not serve: ${result.type}`);
    await using server = result.server;
    const url = `https://127.0.0.1:${server.port}/`;
    expect(await (await fetchTrusting(ca.certPem)(url, {})).text()).toBe("sealed");
    const other = await createCa("berlin", validity);
    await expect(fetchTrusting(other.certPem)(url, {})).rejects.toThrow();
    await expect(fetch(url)).rejects.toThrow();
    await expect(fetch(url.replace("https", "http"))).rejects.toThrow();
  });

  test("says whether an address is in use or cannot be used at all", async () => {
    await using server = await start(() => new Response());
    const options = { port: server.port, fetch: () => new Response() };
    expect(await serve({ hostname: "127.0.0.1", ...options })).toMatchObject({
      type: "in_use",
      address: `127.0.0.1:${server.port}`,
    });
    expect((await serve({ hostname: "203.0.113.7", ...options })).type).toBe("unusable");
  });

  test("stop() lets a request end that is short", async () => {
    const server = await start(async () => {
      await Bun.sleep(100);
      return new Response("late");
    });
    const answer = fetch(`http://127.0.0.1:${server.port}/`).then((response) => response.text());
    await Bun.sleep(30);
    await server.stop();
    expect(await answer).toBe("late");
  });

  test("stop() cuts off a stream that does not end", async () => {
    const server = await start(() => {
      const body = new ReadableStream({ start: (controller) => controller.enqueue("event") });
      return new Response(body);
    });
    const answer = await fetch(`http://127.0.0.1:${server.port}/`);
    const text = answer.text().then(
      () => "ended",
      () => "cut",
    );
    await server.stop(50);
    expect(["ended", "cut"]).toContain(await text);
    await expect(fetch(`http://127.0.0.1:${server.port}/`)).rejects.toThrow();
  });
});
