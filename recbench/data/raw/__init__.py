"""Raw releases (reviews, ratings, plays) to one prepared folder of Parquet files."""
