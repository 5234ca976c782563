//! `serve --postgres` as its users meet it: the real binary on a real socket, psql, psycopg and SQLAlchemy.

mod door;
mod psql;
mod python;
mod server;
