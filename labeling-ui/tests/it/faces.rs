//! Faces: uploads and their refusals, images that are kept, and stories. What the pipeline's own admission does with
//! images is tested there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use futures::StreamExt;
use marginalia_labeling_ui::Gate;
use marginalia_labeling_ui::api::Limits;
use marginalia_store::Feature;
use marginalia_store::tables::embeddings::Embedding;
use marginalia_store::tables::faces::Face;
use serde_json::json;

use crate::bench::{Answer, Bench, face, to};

fn upload(content_type: &str, image: impl Into<Body>) -> Request<Body> {
    to(Method::POST, "/api/faces?name=a.png").header(header::CONTENT_TYPE, content_type).body(image.into()).unwrap()
}

fn form_upload(body: impl Into<Body>) -> Request<Body> {
    upload("multipart/form-data; boundary=x", body)
}

fn part(name: &str, image: &[u8]) -> Vec<u8> {
    let head = format!("--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\r\n");
    [head.as_bytes(), image, b"\r\n"].concat()
}

fn form(files: &[(&str, &[u8])]) -> Request<Body> {
    let parts: Vec<Vec<u8>> = files.iter().map(|(name, image)| part(name, image)).collect();
    form_upload([parts.concat(), b"--x--\r\n".to_vec()].concat())
}

/// In pieces that end anywhere.
fn in_pieces(body: &[u8]) -> Body {
    let pieces: Vec<_> = body.chunks(777).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    Body::from_stream(futures::stream::iter(pieces))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_face_is_created_and_a_known_one_is_found() {
    let bench = Bench::new().await;
    let id = face(b"\x89PNG 1").face_id;
    let first = bench.send(upload("image/png", &b"\x89PNG 1"[..])).await;
    assert_eq!((first.status.as_u16(), first.header(header::LOCATION)), (201, format!("/api/faces/{id}").as_str()));
    assert_eq!(first.json(), json!({ "face_id": id, "new": true }));
    let again = bench.send(upload("application/octet-stream", &b"\x89PNG 1"[..])).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, json!({ "face_id": id, "new": false })));
    let refused = bench.send(upload("image/png", &b"<svg onload=alert(1)>"[..])).await.problem(422, "refused");
    assert_eq!((&refused["reason"], &refused["detail"]), (&json!("not_an_image"), &json!("upload:a.png")));
    // A name is text of one line.
    let odd = to(Method::POST, "/api/faces?name=..%2Fa%0D%0Ab").header(header::CONTENT_TYPE, "image/png");
    let refused = bench.send(odd.body(Body::from("no")).unwrap()).await.problem(422, "refused");
    assert_eq!(refused["detail"], "upload:../a__b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_images_each_has_its_own_outcome() {
    let bench = Bench::new().await;
    let mixed = bench.send(form(&[("a.png", b"\x89PNG a"), ("x.gif", b"no"), ("b.png", b"\x89PNG a")])).await;
    assert_eq!(mixed.status, 201);
    let images = &mixed.json()["images"];
    assert_eq!((&images[0]["new"], &images[2]["new"]), (&json!(true), &json!(false)), "{images}");
    assert_eq!((&images[0]["source"], &images[1]["reason"]), (&json!("upload:a.png"), &json!("not_an_image")));
    assert_eq!(bench.send(form(&[("a.png", b"\x89PNG a")])).await.status, 200);
    let refused = bench.send(form(&[("x", b"no")])).await.problem(422, "refused");
    assert_eq!(refused["images"][0]["reason"], "not_an_image");
    bench.send(form(&[])).await.problem(400, "no_images");
    bench.send(form_upload("--x\r\nbroken")).await.problem(400, "bad_multipart");
    bench.send(upload("multipart/form-data", "")).await.problem(400, "bad_multipart");
}

/// As they come out of a form or an archive: 260 new ones, more than go in one commit, then three others.
fn assert_taken(answer: &Answer) {
    assert_eq!(answer.status, 201);
    let answer = answer.json();
    assert_eq!((&answer["new"], &answer["known"], &answer["refused"]), (&json!(260), &json!(1), &json!(2)));
    let images = answer["images"].as_array().unwrap();
    assert_eq!((images.len(), &images[0]["source"]), (263, &json!("upload:deep/a.png")));
    let reasons = [&images[260]["reason"], &images[261]["new"], &images[262]["reason"]];
    assert_eq!(reasons, [&json!("not_an_image"), &json!(false), &json!("too_large")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_any_length_is_taken_in_as_it_arrives() {
    let bench = Bench::with(Limits { image_bytes: 1000, ..Limits::default() }, Gate::Loopback).await;
    let mut whole: Vec<u8> =
        (0..260_u32).flat_map(|n| part("deep/a.png", &[b"\x89PNG ", &n.to_le_bytes()[..]].concat())).collect();
    let others = [&b"no"[..], b"\x89PNG \0\0\0\0", &[0; 1001]];
    whole.extend(others.into_iter().flat_map(|image| part("other.png", image)));
    // What looks like the end of a part is none.
    let odd = b"\x89PNG \r\n--\r\n--y\r\n";
    let ended = [&whole[..], b"--x--\r\n"].concat();
    assert_taken(&bench.send(form_upload(in_pieces(&ended))).await);
    assert_eq!(bench.count("select count(*) from faces").await, 260);
    let answer = bench.send(form(&[("odd.png", odd)])).await.json();
    assert_eq!(answer["images"][0]["face_id"], face(odd).face_id);
    // What breaks off is in up to there, and known when it comes again.
    let cut = [&whole[..], &part("cut.png", b"\x89PNG cut")[..80]].concat();
    let problem = bench.send(form_upload(in_pieces(&cut))).await.problem(400, "bad_multipart");
    assert_eq!((&problem["new"], &problem["known"], &problem["refused"]), (&json!(0), &json!(261), &json!(2)));
    // A head without an end.
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'a'; 10_000]));
    let head = futures::stream::iter([Ok(b"--x\r\n".to_vec())]);
    let refused = bench.send(form_upload(Body::from_stream(head.chain(endless)))).await.problem(400, "bad_multipart");
    assert!(refused["detail"].as_str().unwrap().contains("a part does not begin"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_of_a_form_is_read_than_is_taken_in() {
    const PARTS: usize = 5000;
    let bench = Arc::new(Bench::new().await);
    bench.door.open.forget_permits(1000);
    let read = Arc::new(AtomicUsize::new(0));
    let sending = {
        let (bench, read) = (bench.clone(), read.clone());
        let parts = (0..PARTS).map(move |n| {
            read.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>(part(&n.to_string(), b"no"))
        });
        let parts = futures::stream::iter(parts.chain([Ok(b"--x--\r\n".to_vec())]));
        tokio::spawn(async move { bench.send(form_upload(Body::from_stream(parts))).await })
    };
    bench.door.has_begun(1).await;
    // However long one waits: what is being taken in, what waits for that, and what comes next.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let held = read.load(Ordering::SeqCst);
    assert!(held <= 3 * 256 + 2, "{held} parts are in memory");
    bench.door.open.add_permits(1000);
    let refused = sending.await.unwrap().problem(422, "refused");
    assert_eq!((&refused["refused"], read.load(Ordering::SeqCst)), (&json!(PARTS), PARTS));
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, image) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(image.len() as u64);
        archive.append_data(&mut header, name, *image).unwrap();
    }
    archive.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_is_taken_in_as_it_arrives() {
    let bench = Bench::with(Limits { image_bytes: 1000, ..Limits::default() }, Gate::Loopback).await;
    let images: Vec<Vec<u8>> = (0..260_u32).map(|n| [b"\x89PNG ", &n.to_le_bytes()[..]].concat()).collect();
    let mut files: Vec<(&str, &[u8])> = images.iter().map(|image| ("deep/a.png", image.as_slice())).collect();
    let large = vec![0; 1001];
    files.extend([("b.gif", &b"no"[..]), ("again.png", &images[0]), ("large.png", &large)]);
    let whole = tar(&files);
    assert_taken(&bench.send(upload("application/x-tar", in_pieces(&whole))).await);
    assert_eq!(bench.count("select count(*) from faces").await, 260);
    // More than one batch; and all of it is known now.
    assert_eq!(bench.send(upload("application/x-tar", whole)).await.status, 200);
    let only = bench.send(upload("application/x-tar", tar(&[("x", b"no")]))).await.problem(422, "refused");
    assert_eq!(only["images"][0]["reason"], "not_an_image");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_archive_that_breaks_off_the_beginning_is_in() {
    let bench = Bench::new().await;
    let image = [&b"\x89PNG "[..], &[7; 2000]].concat();
    let whole = tar(&[("a.png", b"\x89PNG a"), ("b.png", &image), ("c.png", b"\x89PNG c")]);
    for cut in [1600, 2200, 3000] {
        let problem = bench.send(upload("application/x-tar", whole[..cut].to_vec())).await.problem(400, "bad_archive");
        let taken = [&problem["new"], &problem["known"]].map(|count| count.as_u64().unwrap());
        assert_eq!(taken.iter().sum::<u64>(), 1, "{problem}");
    }
    assert_eq!(bench.send(upload("application/x-tar", vec![7; 4096])).await.problem(400, "bad_archive")["new"], 0);
    let answer = bench.send(upload("application/x-tar", whole)).await.json();
    assert_eq!((&answer["new"], &answer["known"]), (&json!(2), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_image_or_too_large_is_refused_unseen() {
    let bench = Bench::with(Limits { image_bytes: 1000, ..Limits::default() }, Gate::Loopback).await;
    for content_type in ["image/svg+xml", "text/html", "application/json", "image/gif", "", "image/png2"] {
        bench.send(upload(content_type, "x")).await.problem(415, "unsupported_media_type");
    }
    let untyped = to(Method::POST, "/api/faces").body(Body::from("x")).unwrap();
    bench.send(untyped).await.problem(415, "unsupported_media_type");
    bench.send(upload("image/png", vec![0; 1001])).await.problem(413, "too_large");
    let refused = bench.send(form(&[("a", &[0; 1001]), ("b", &[0; 1600])])).await.problem(422, "refused");
    assert_eq!((&refused["images"][1]["reason"], &refused["refused"]), (&json!("too_large"), &json!(2)));
    // One that does not say how long it is.
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 100]));
    bench.send(upload("image/png", Body::from_stream(endless))).await.problem(413, "too_large");
    assert_eq!(bench.door.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_what_is_taken_at_once_clients_are_told_to_come_again() {
    let limits = Limits { uploads: 1, ..Limits::default() };
    let bench = Arc::new(Bench::with(limits, Gate::Loopback).await);
    bench.door.open.forget_permits(1000);
    let first = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.send(upload("image/png", &b"\x89PNG 1"[..])).await })
    };
    bench.door.has_begun(1).await;
    let busy = bench.send(upload("image/png", &b"\x89PNG 2"[..])).await;
    assert_eq!(busy.header(header::RETRY_AFTER), "1");
    busy.problem(429, "too_many_uploads");
    // People go on meanwhile.
    bench.get("/api/queue?annotator=ada").await.json();
    bench.door.open.add_permits(2);
    assert_eq!(first.await.unwrap().status, 201);
    assert_eq!(bench.send(upload("image/png", &b"\x89PNG 2"[..])).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_client_leaves_is_finished_all_the_same() {
    let bench = Arc::new(Bench::new().await);
    bench.door.open.forget_permits(1000);
    let leaving = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.send(upload("image/png", &b"\x89PNG 1"[..])).await })
    };
    bench.door.has_begun(1).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    bench.door.open.add_permits(1);
    let id = face(b"\x89PNG 1").face_id;
    while bench.get(&format!("/api/faces/{id}")).await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_its_bytes_for_good() {
    let bench = Bench::new().await;
    let rows: Vec<Face> = ["png", "jpeg", "webp", "bmp", "svg"]
        .into_iter()
        .enumerate()
        .map(|(n, format)| Face { format: format.to_owned(), ..face(format!("<svg>{n}").as_bytes()) })
        .collect();
    bench.corpus.writer::<Face>().append(rows.clone()).await.unwrap();
    let types = ["image/png", "image/jpeg", "image/webp", "image/bmp", "application/octet-stream"];
    for (row, content_type) in rows.iter().zip(types) {
        let image = bench.get(&format!("/api/faces/{}/image", row.face_id)).await;
        assert_eq!((image.status.as_u16(), &image.body[..]), (200, &row.image[..]));
        assert_eq!(image.header(header::CONTENT_TYPE), content_type);
        assert_eq!(image.header(header::ETAG), format!("\"{}\"", row.face_id));
        assert_eq!(image.header(header::CACHE_CONTROL), "private, max-age=31536000, immutable");
        assert_eq!(image.header("x-content-type-options"), "nosniff");
        assert!(image.header(header::CONTENT_SECURITY_POLICY).contains("sandbox"));
    }
    let id = &rows[0].face_id;
    let path = format!("/api/faces/{id}/image");
    let conditional =
        |tag: &str| to(Method::GET, &path).header(header::IF_NONE_MATCH, tag).body(Body::empty()).unwrap();
    for tag in [format!("\"{id}\""), format!("W/\"{id}\""), format!("\"other\", \"{id}\""), "*".to_owned()] {
        let kept = bench.send(conditional(&tag)).await;
        assert_eq!((kept.status.as_u16(), kept.body.len()), (304, 0), "{tag}");
        assert_eq!(kept.header(header::ETAG), format!("\"{id}\""));
    }
    assert_eq!(bench.send(conditional("\"other\"")).await.status, 200);
    let unknown = format!("/api/faces/{}/image", "0".repeat(64));
    let vouched = to(Method::GET, &unknown).header(header::IF_NONE_MATCH, "*").body(Body::empty()).unwrap();
    bench.send(vouched).await.problem(404, "no_such_face");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_image_has_a_tag_of_its_own() {
    let bench = Bench::new().await;
    let id = bench.faces(1).await.remove(0);
    // The faces here are 100 pixels wide.
    let small = bench.get(&format!("/api/faces/{id}/image?w=96")).await;
    assert_eq!((small.status.as_u16(), &small.body[..4]), (200, &96_u32.to_le_bytes()[..]));
    assert_eq!(small.header(header::ETAG), format!("\"{id}-96\""));
    let whole = bench.get(&format!("/api/faces/{id}/image?w=192")).await;
    assert_eq!(whole.body, bench.get(&format!("/api/faces/{id}/image")).await.body);
    for width in ["0", "97", "100000"] {
        bench.get(&format!("/api/faces/{id}/image?w={width}")).await.problem(400, "bad_width");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_made_small_once_whoever_looks_and_anew_when_a_face_was_forgotten() {
    let bench = Bench::new().await;
    let faces = bench.faces(2).await;
    let small = async |face: &str, side: u32| bench.get(&format!("/api/faces/{face}/image?w={side}")).await;
    let shrunk = || bench.door.shrunk.load(Ordering::SeqCst);
    let first = small(&faces[0], 96).await;
    assert_eq!((small(&faces[0], 96).await.body, shrunk()), (first.body, 1));
    small(&faces[0], 48).await;
    assert_eq!(small(&faces[1], 96).await.body[..4], 96_u32.to_le_bytes());
    assert_eq!(shrunk(), 3, "another size and another face are other images");
    bench.corpus.forget(&faces[..1], None).await.unwrap();
    small(&faces[0], 96).await.problem(404, "no_such_face");
    assert_eq!(small(&faces[1], 96).await.status, 200);
    assert_eq!(shrunk(), 4, "all that was made is thrown away with what was forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_face_tells_its_story_and_others_are_not_there() {
    let bench = Bench::new().await;
    let faces = bench.faces(2).await;
    bench.round(&[(&faces[0], "fear", 0.5, Some("queue"))]).await;
    let label = json!({ "face_id": faces[0], "expression": "happiness", "annotator": "ada", "note": "smiles" });
    bench.post("/api/labels", label).await.json();
    let story = bench.get(&format!("/api/faces/{}", faces[0])).await.json();
    assert_eq!((&story["width"], &story["predictions"][0]["expression"]), (&json!(100), &json!("fear")));
    assert_eq!((&story["labels"][0]["says"], &story["labels"][0]["note"]), (&json!("happiness"), &json!("smiles")));
    assert_eq!((&story["corpus"]["origin"], &story["queue"]), (&json!("human"), &json!(null)));
    let odd = [
        "0".repeat(64),
        faces[0][..63].to_owned(),
        faces[0].to_uppercase(),
        "..%2f..%2f..%2fetc%2fpasswd".to_owned(),
        "%00".to_owned(),
        "'%20or%20true%20--".to_owned(),
        "%F0%9F%98%80".repeat(16),
    ];
    for id in odd {
        bench.get(&format!("/api/faces/{id}")).await.problem(404, "no_such_face");
        bench.get(&format!("/api/faces/{id}/image")).await.problem(404, "no_such_face");
    }
    bench.get("/api/faces/%FF").await.problem(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn similar_faces_come_nearest_first_with_what_is_known_of_them() {
    let bench = Bench::new().await;
    let ids = bench.faces(3).await;
    let path = format!("/api/faces/{}/similar", ids[0]);
    assert_eq!(bench.get(&path).await.json(), json!({ "round": null, "faces": [] }));
    let features = [vec![1.0, 0.0], vec![0.0, 1.0], vec![0.8, 0.6]];
    let rows = ids.iter().zip(&features).map(|(face_id, feature)| Embedding {
        round: 1,
        face_id: face_id.clone(),
        feature: Feature::from_f32(feature),
    });
    bench.corpus.writer::<Embedding>().append(rows.collect()).await.unwrap();
    bench.round(&[(&ids[0], "fear", 0.4, None), (&ids[1], "anger", 0.5, None), (&ids[2], "fear", 0.6, None)]).await;
    let near = bench.get(&path).await.json();
    assert_eq!((&near["round"], near["faces"].as_array().unwrap().len()), (&json!(1), 2), "{near}");
    let nearest = &near["faces"][0];
    assert_eq!(
        (&nearest["face_id"], &nearest["predicted"], &nearest["label"]),
        (&json!(ids[2]), &json!("fear"), &json!(null))
    );
    assert!((nearest["distance"].as_f64().unwrap() - 0.2).abs() < 1e-3, "{near}");
    assert_eq!(bench.get(&format!("{path}?k=1")).await.json()["faces"].as_array().unwrap().len(), 1);
    bench.get(&format!("{path}?k=0")).await.problem(400, "bad_k");
    bench.get(&format!("/api/faces/{}/similar", "0".repeat(64))).await.problem(404, "no_such_face");
    bench.get("/api/faces/x'%20or%201=1/similar").await.problem(404, "no_such_face");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_face_is_gone_from_memory_too() {
    let bench = Bench::new().await;
    let faces = bench.faces(2).await;
    bench.get("/api/queue?annotator=ada&limit=2").await.json();
    let image = format!("/api/faces/{}/image", faces[0]);
    assert_eq!(bench.get(&image).await.status, 200);
    assert_eq!(bench.get(&image).await.status, 200, "from memory");
    bench.corpus.forget(&faces[..1], None).await.unwrap();
    bench.get(&image).await.problem(404, "no_such_face");
    let label = serde_json::json!({ "face_id": faces[0], "expression": "fear", "annotator": "ada" });
    bench.post("/api/labels", label).await.problem(422, "unknown_face");
    assert_eq!(bench.get(&format!("/api/faces/{}/image", faces[1])).await.status, 200);
}
