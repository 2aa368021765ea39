// An S3 server on a free port of 127.0.0.1 for tests: s3rver, made as strict as S3 where it is lenient.
//
// s3rver checks signatures of version 2, access keys and expiry. Added here, since the tests depend on them: version 4
// signatures are computed too, a PUT appears whole or not at all, Content-MD5 and If-None-Match are obeyed (for parts
// Content-MD5 is not), an upload in parts can be given up, and a name may be as long as a file system's longest. Every
// request must be signed.
//
// Environment: S3_DIRECTORY, S3_BUCKETS (comma-separated), S3_ACCESS_KEY, S3_SECRET_KEY. The first line of its output
// is {"port": N}. It ends when its standard input does.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { Transform } = require('stream');
const { pipeline } = require('stream/promises');

const S3rver = require('s3rver');
const AWSAccount = require('s3rver/lib/models/account');
const S3Error = require('s3rver/lib/models/error');
const FilesystemStore = require('s3rver/lib/stores/filesystem');

const environment = process.env;
const buckets = path.join(environment.S3_DIRECTORY, 'buckets');
const incoming = path.join(environment.S3_DIRECTORY, 'incoming');
const LONGEST_PART_BYTES = 200; // s3rver adds up to 22 characters of its own to a file's name

function hmac(key, text) {
  return crypto.createHmac('sha256', key).update(text, 'utf8').digest();
}

function encode(text) {
  return encodeURIComponent(text).replace(/[!'()*]/g, c => '%' + c.charCodeAt(0).toString(16).toUpperCase());
}

function refuse(code, says) {
  throw new S3Error(code, says);
}

// Signature version 4, in a query or in a header: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
function checkVersion4(request) {
  const [rawPath, rawQuery = ''] = request.url.split('?');
  const query = [...new URLSearchParams(rawQuery)];
  const fromQuery = Object.fromEntries(query);
  const header = request.headers.authorization || '';
  let given;
  if ('X-Amz-Signature' in fromQuery) {
    given = {
      credential: fromQuery['X-Amz-Credential'],
      signed: fromQuery['X-Amz-SignedHeaders'],
      signature: fromQuery['X-Amz-Signature'],
      date: fromQuery['X-Amz-Date'],
      payload: request.headers['x-amz-content-sha256'] || 'UNSIGNED-PAYLOAD',
    };
  } else if (header.startsWith('AWS4-HMAC-SHA256')) {
    const fields = Object.fromEntries(
      header.slice('AWS4-HMAC-SHA256'.length).split(',').map(part => part.trim().split('=')),
    );
    given = {
      credential: fields.Credential,
      signed: fields.SignedHeaders,
      signature: fields.Signature,
      date: request.headers['x-amz-date'],
      payload: request.headers['x-amz-content-sha256'],
    };
  } else {
    if (!('Signature' in fromQuery) && !header) refuse('AccessDenied', 'Every request must be signed.');
    return; // version 2: s3rver computes it
  }
  const [accessKey, day, region, service, ending] = given.credential.split('/');
  if (accessKey !== environment.S3_ACCESS_KEY) refuse('InvalidAccessKeyId', 'This access key does not exist.');
  const canonical = [
    request.method,
    rawPath,
    query
      .filter(([name]) => name !== 'X-Amz-Signature')
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .sort()
      .join('&'),
    ...given.signed
      .split(';')
      .map(name => `${name}:${(request.headers[name] || '').trim().replace(/ +/g, ' ')}`),
    '',
    given.signed,
    given.payload,
  ].join('\n');
  const digest = crypto.createHash('sha256').update(canonical, 'utf8').digest('hex');
  const text = ['AWS4-HMAC-SHA256', given.date, `${day}/${region}/${service}/${ending}`, digest].join('\n');
  const key = [day, region, service, ending].reduce(hmac, 'AWS4' + environment.S3_SECRET_KEY);
  if (hmac(key, text).toString('hex') !== given.signature) {
    refuse('SignatureDoesNotMatch', 'The signature is not the one computed for this request.');
  }
}

// One upload: to a name of its own, checked, then moved to where readers see it.
async function putWhole(store, request, object) {
  const target = store.getResourcePath(object.bucket, object.key, 'object');
  const arriving = path.join(incoming, crypto.randomUUID());
  const hash = crypto.createHash('md5');
  let size = 0;
  const counted = new Transform({
    transform(chunk, _, next) {
      hash.update(chunk);
      size += chunk.length;
      next(null, chunk);
    },
  });
  try {
    await pipeline(object.content, counted, fs.createWriteStream(arriving));
    const md5 = hash.digest();
    const announced = request.headers['content-md5'];
    if (announced && announced !== md5.toString('base64')) {
      refuse('BadDigest', 'The Content-MD5 you specified did not match what we received.');
    }
    await fs.promises.mkdir(path.dirname(target), { recursive: true });
    if (request.headers['if-none-match'] === '*') {
      await fs.promises.link(arriving, target).catch(error => {
        if (error.code !== 'EEXIST') throw error;
        refuse('PreconditionFailed', 'An object with this key exists.');
      });
    } else {
      await fs.promises.rename(arriving, target);
    }
    await store.putMetadata(object.bucket, object.key, object.metadata, md5.toString('hex'));
    return { size, md5: md5.toString('hex') };
  } finally {
    await fs.promises.rm(arriving, { force: true });
  }
}

FilesystemStore.encodeKeyPath = key =>
  key
    .split('/')
    .map(part =>
      Buffer.byteLength(part) > LONGEST_PART_BYTES ? crypto.createHash('sha256').update(part).digest('hex') : part,
    )
    .join('/');

async function main() {
  fs.mkdirSync(incoming, { recursive: true });
  const owner = AWSAccount.DUMMY_ACCOUNT;
  owner.revokeAccessKey('S3RVER'); // its fixed test key
  owner.createKeyPair(environment.S3_ACCESS_KEY, environment.S3_SECRET_KEY);
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory: buckets,
    vhostBuckets: false,
    configureBuckets: environment.S3_BUCKETS.split(',').map(name => ({ name })),
  });
  server.silent = true;
  server.on('error', () => {}); // told to the client; the tests look there
  server.middleware.unshift(async (context, next) => {
    checkVersion4(context.req);
    if (context.method === 'PUT' || context.method === 'POST') {
      context.store = Object.create(server.store, {
        putObject: { value: object => putWhole(server.store, context.req, object) },
      });
    }
    const { uploadId } = context.query;
    if (context.method === 'DELETE' && /^[0-9a-f]{32}$/.test(uploadId)) {
      const bucket = path.basename(context.path.split('/')[1]);
      const uploads = server.store.getResourcePath(bucket, undefined, 'uploads');
      await fs.promises.rm(path.join(uploads, uploadId), { recursive: true, force: true });
      context.status = 204;
      return;
    }
    await next();
  });
  const { port } = await server.run();
  console.log(JSON.stringify({ port }));
  process.stdin.on('end', () => process.exit(0)).resume();
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
