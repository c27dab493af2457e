// A client with the types of the API: node generated/client.js URL SLUG [TOKEN] tells how an
// election goes. It reads a whole list by pages, the table, and what the API says of errors.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Schemas = components["schemas"];
type Client = ReturnType<typeof createClient<paths>>;

class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly retryAfter: number | null,
  ) {
    super(`${status} ${code}`);
  }
}

function refused(response: Response, error: Schemas["Error"]): ApiError {
  const wait = response.headers.get("Retry-After");
  return new ApiError(response.status, error.code, wait === null ? null : Number(wait));
}

async function figures(client: Client, slug: string): Promise<Schemas["ElectionMetrics"]> {
  const { data, error, response } = await client.GET("/api/v1/metrics/elections/{slug}/", {
    params: { path: { slug } },
  });
  if (error) throw refused(response, error);
  return data;
}

async function constituencies(client: Client, slug: string): Promise<Schemas["Member"][]> {
  const found: Schemas["Member"][] = [];
  for (;;) {
    const { data, error, response } = await client.GET(
      "/api/v1/metrics/elections/{slug}/constituencies/",
      {
        params: {
          path: { slug },
          query: { limit: 100, offset: found.length, ordering: ["-votes_cast"] },
        },
      },
    );
    if (error) throw refused(response, error);
    found.push(...data.results);
    if (data.next === null) return found;
  }
}

async function sumOfTable(client: Client, slug: string): Promise<number> {
  const { data, error, response } = await client.GET("/api/v1/metrics/elections/{slug}/table/", {
    params: { path: { slug }, query: { columns: "votes_cast" } },
  });
  if (error) throw refused(response, error);
  const votes = data.data.votes_cast ?? [];
  return votes.reduce<number>((sum, each) => sum + (each ?? 0), 0);
}

async function isUnchanged(client: Client, slug: string): Promise<boolean> {
  const path = "/api/v1/elections/{slug}/";
  const first = await client.GET(path, { params: { path: { slug } } });
  const etag = first.response.headers.get("ETag");
  if (first.error || etag === null) return false;
  const again = await client.GET(path, {
    params: { path: { slug }, header: { "If-None-Match": etag } },
  });
  return again.response.status === 304;
}

const [url, slug, token] = process.argv.slice(2);
if (url === undefined || slug === undefined) throw new Error("URL SLUG [TOKEN]");
const client = createClient<paths>({
  baseUrl: url,
  headers: token === undefined ? {} : { Authorization: `Token ${token}` },
});
try {
  const told = await figures(client, slug);
  const members = await constituencies(client, slug);
  console.log(
    JSON.stringify({
      votes: told.votes_cast,
      participation: told.participation_rate,
      asOf: told.as_of,
      constituencies: members.map(({ contract_id, votes_cast }) => [contract_id, votes_cast]),
      sumOfTable: await sumOfTable(client, slug),
      isUnchanged: await isUnchanged(client, slug),
    }),
  );
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  const { status, code, retryAfter } = error;
  console.log(JSON.stringify({ status, code, retryAfter }));
}
