import { createBullBoard } from "@bull-board/api";
import type { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { serve } from "../dashboard/support.ts";

/** What bull-board sends to its page of a job. */
export interface ShownJob {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  readonly externalUrl?: { readonly displayText?: string; readonly href: string };
}

/** Serves a real bull-board of one queue while the test runs. */
export async function serveBoard(adapter: BullMQAdapter) {
  const serverAdapter = new ExpressAdapter();
  const options = { queues: [adapter], serverAdapter, options: { validateResponses: true } };
  createBullBoard(options);
  const router = serverAdapter.getRouter() as Parameters<typeof serve>[0];
  const url = await serve(router);
  const read = async (path: string): Promise<unknown> => {
    const response = await fetch(`${url}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return await response.json();
  };
  const name = encodeURIComponent(adapter.getName());
  return {
    url,
    /** The jobs on a page of the queue, by id. */
    jobs: async (status = "delayed", jobsPerPage = 10): Promise<Record<string, ShownJob>> => {
      const query = `activeQueue=${name}&status=${status}&page=1&jobsPerPage=${jobsPerPage}`;
      const { queues } = (await read(`/api/queues?${query}`)) as { queues: { jobs: ShownJob[] }[] };
      return Object.fromEntries((queues[0]?.jobs ?? []).map((job) => [job.id, job]));
    },
    job: async (id: string): Promise<ShownJob> =>
      ((await read(`/api/queues/${name}/${id}`)) as { job: ShownJob }).job,
    logs: async (id: string): Promise<string[]> =>
      (await read(`/api/queues/${name}/${id}/logs`)) as string[],
  };
}
